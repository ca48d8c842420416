package authtest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
)

// headers adds tokens whose header requires extensions that the server does not know.
func (f *forger) headers() {
	k, c := f.keys, f.claims
	for name, h := range map[string]map[string]any{
		"crit unknown": {"crit": []string{"x"}, "x": 1}, "crit b64": {"crit": []string{"b64"}, "b64": false},
		"crit empty": {"crit": []string{}},
		"crit exp":   {"crit": []string{"exp"}, "exp": 1}, "crit a string": {"crit": "x"},
	} {
		header := k.header("ES256")
		for field, v := range h {
			header[field] = v
		}
		f.refuse(name, Forge(header, c, "ES256", k.EC))
	}
	f.refuse("crit null", Forge(`{"alg":"ES256","kid":"ec-1","crit":null}`, c, "ES256", k.EC))
	nested := f.token(f.claims)
	f.refuse("a token in a token", Forge(with(k.header("ES256"), "cty", "JWT"), nested, "ES256", k.EC))
	f.refuse("JWE", segment(map[string]any{"alg": "RSA-OAEP", "enc": "A256GCM", "kid": RSAKey})+".AAAA.AAAA.AAAA.AAAA")
	f.refuse("JWE of alg dir, three parts", segment(map[string]any{"alg": "dir", "enc": "A256GCM"})+"."+segment(c)+".AAAA")
}

// forms adds tokens that are not three parts of unpadded base64url.
func (f *forger) forms() {
	good := f.token(f.claims)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"one part": parts[0], "two parts": parts[0] + "." + parts[1], "four parts": good + "." + parts[2],
		"five parts": good + ".." + parts[2],
		"dots":       "..", "a dot at the end": good + ".", "a dot before": "." + good, "no header": "." + parts[1] + "." +
			parts[2],
		"a space inside": good[:20] + " " + good[20:], "a space after the dot": parts[0] + ". " + parts[1] + "." + parts[2],
		"a tab inside":     good[:20] + "\t" + good[20:],
		"in single quotes": "'" + good + "'", "a comma after it": good + ",", "twice": good + good,
		"percent-encoded": strings.ReplaceAll(good, ".", "%2E"),
		"JSON serialization": string(must(json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1],
			"signature": parts[2]}))),
		"larger than 16 KiB": f.token(with(f.claims, "pad", strings.Repeat("x", 13<<10))),
	} {
		f.refuse(name, token)
	}
	for i, part := range []string{"header", "claims", "signature"} {
		padded := append([]string(nil), parts...)
		padded[i] += strings.Repeat("=", (4-len(padded[i])%4)%4) // the token stays the same where none is needed
		if padded[i] == parts[i] {
			padded[i] += "===="
		}
		f.refuse(part+" with padding", strings.Join(padded, "."))
	}
	f.refuse("signature with another last letter", loose(good))
	raw := must(base64.RawURLEncoding.DecodeString(parts[1]))
	f.refuse("claims in the alphabet of base64", f.signed(parts[0]+"."+base64.StdEncoding.EncodeToString(append(raw,
		"  >>>???"...))))
	f.refuse("claims with a letter too many", f.signed(parts[0]+"."+parts[1][:len(parts[1])/4*4]+"A"))
}

// loose changes the last letter of a token in its unused bits. A signature of 64 bytes leaves four
// bits unused.
func loose(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])|1])
}

func (f *forger) signed(input string) string {
	return input + "." + encode(sign(input, "ES256", f.keys.EC))
}

// documents adds tokens whose header or claims are not strict JSON objects.
func (f *forger) documents() {
	k := f.keys
	header, claims := string(must(json.Marshal(k.header("ES256")))), string(must(json.Marshal(f.claims)))
	for name, doc := range map[string]string{
		"empty": "", "an array": "[" + claims + "]", "null": "null", "a string": `"x"`, "cut": claims[:len(claims)-1],
		"followed by another": claims + claims,
		"followed by NUL":     claims + "\x00", "after a byte order mark": "\ufeff" + claims,
		"not UTF-8":             strings.Replace(claims, Subject, "\xff", 1),
		"with a lone surrogate": strings.Replace(claims, Subject, `\ud800`, 1), "nested too deep": strings.Replace(claims,
			"{", `{"a":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+",", 1),
		"with a comma too many": claims[:len(claims)-1] + ",}", "with a comment": "/* */" + claims,
		"with workspace twice":          claims[:len(claims)-1] + `,"workspace":"victim"}`,
		"with workspace twice, escaped": claims[:len(claims)-1] + `,"work\u0073pace":"victim"}`,
		"with exp twice":                `{"exp":99999999999,` + claims[1:], "with an unknown claim twice": `{"a":1,"a":2,` +
			claims[1:],
	} {
		f.refuse("claims "+name, Forge(header, doc, "ES256", k.EC))
	}
	for name, doc := range map[string]string{
		"empty": "", "an array": "[" + header + "]", "null": "null", "cut": header[:len(header)-1],
		"followed by another": header + header,
		"with alg twice":      `{"alg":"none",` + header[1:], "with alg twice, escaped": header[:len(header)-1] +
			`,"\u0061lg":"none"}`,
		"with kid twice": header[:len(header)-1] + `,"kid":"ec-1"}`, "not UTF-8": `{"x":"` + "\xff" + `",` + header[1:],
	} {
		f.refuse("header "+name, Forge(doc, claims, "ES256", k.EC))
	}
}

// audiences adds tokens with a wrong audience, issuer or subject.
func (f *forger) audiences() {
	for name, aud := range map[string]any{
		"another": "other", "missing": nil, "an array of others": []string{"other", "another"}, "an empty array": []string{},
		"a number":               1,
		"an array with a number": []any{Audience, 1}, "an object": map[string]any{Audience: true}, "empty": "",
		"a prefix": Audience[:len(Audience)-1],
		"longer":   Audience + "x", "in upper case": strings.ToUpper(Audience), "a list in a string": Audience + " other",
		"null": json.RawMessage("null"),
	} {
		f.refuse("aud "+name, f.token(with(f.claims, "aud", aud)))
	}
	for name, iss := range map[string]any{
		"another": "https://attacker.example/", "missing": nil, "empty": "", "a number": 1, "an array": []string{Issuer},
		"without its slash": strings.TrimSuffix(Issuer, "/"),
		"longer":            Issuer + "x", "in upper case": strings.ToUpper(Issuer), "null": json.RawMessage("null"),
	} {
		f.refuse("iss "+name, f.token(with(f.claims, "iss", iss)))
	}
	f.refuse("sub a number", f.token(with(f.claims, "sub", 1)))
}

// times adds tokens that are not valid now, or whose times are malformed.
func (f *forger) times() {
	now := time.Now().Unix()
	for name, exp := range map[string]any{
		"past": now - 3600, "just past": now - 61, "missing": nil, "a string": "99999999999", "negative": -1, "zero": 0,
		"huge":                  json.RawMessage("1e300"),
		"too large for a float": json.RawMessage("1e999"), "after the year 9999": int64(253402300800),
		"in milliseconds":     (now + 3600) * 1000,
		"beyond the longest":  now + 91*24*3600,
		"an int64 that wraps": json.RawMessage("9223372036854775808"), "null": json.RawMessage("null"), "true": true,
		"an array":  []int64{now + 3600},
		"an object": map[string]any{"$date": now + 3600}, "a date": time.Now().Add(time.Hour).Format(time.RFC3339),
	} {
		f.refuse("exp "+name, f.token(with(f.claims, "exp", exp)))
	}
	claims := string(must(json.Marshal(with(f.claims, "exp", nil))))
	for _, exp := range []string{"NaN", "Infinity", "-Infinity", "0x7fffffff", "+99999999999", "099999999999",
		"99999999999.", "1_000_000_000_000"} {
		f.refuse("exp "+exp, f.token(`{"exp":`+exp+","+claims[1:]))
	}
	for _, name := range []string{"nbf", "iat"} {
		for what, value := range map[string]any{"in the future": now + 3600, "soon": now + 600, "a string": "0",
			"null": json.RawMessage("null"), "negative": -1, "huge": json.RawMessage("1e300")} {
			f.refuse(name+" "+what, f.token(with(f.claims, name, value)))
		}
	}
}

// workspaces adds tokens without a valid workspace.
func (f *forger) workspaces() {
	workspace := f.claims["workspace"].(string)
	for name, value := range map[string]any{
		"missing": nil, "empty": "", "an array": []string{workspace}, "an object": map[string]any{"id": workspace},
		"a number": 1, "true": true,
		"null": json.RawMessage("null"), "a path": "../x", "with a slash": workspace + "/",
		"in upper case":     strings.ToUpper(workspace) + "A",
		"with a line break": workspace + "\n", "with a space": " " + workspace, "with NUL": workspace + "\x00",
		"with a dot": "a.b", "a wildcard": "*", "a pattern": "%",
		"with a quote": "a'b", "of full-width letters": "ａｃｍｅ", "with a colon": "a:b", "too long": strings.Repeat("a", 64),
		"with a dash before": "-a",
		"percent-encoded":    "%61cme", "two": workspace + ",other",
	} {
		f.refuse("workspace "+name, f.token(with(f.claims, "workspace", value)))
	}
}

// scopes adds tokens without a valid scope.
func (f *forger) scopes() {
	for name, scope := range map[string]any{
		"missing": nil, "empty": "", "an empty array": []string{}, "another": "openid profile",
		"in upper case":       strings.ToUpper(strings.Join(auth.Scopes, " ")),
		"separated by commas": strings.Join(auth.Scopes, ","), "separated by line breaks": strings.Join(auth.Scopes, "\n"),
		"a wildcard": "*",
		"a prefix":   "millrace millrace.exports millrace.runs", "an array of one list": []string{strings.Join(auth.Scopes,
			" ")},
	} {
		f.attacks = append(f.attacks, Attack{Name: "scope " + name, Token: f.token(with(f.claims, "scope", scope)),
			Status: http.StatusForbidden})
	}
	for name, scope := range map[string]any{
		"a number": 1, "an object": map[string]any{auth.ExportsRead: true}, "an array with a number": []any{auth.ExportsRead,
			1}, "null": json.RawMessage("null"), "true": true,
	} {
		f.refuse("scope "+name, f.token(with(f.claims, "scope", scope)))
	}
	f.refuse("scope under other names", f.token(with(f.claims, "scope", 0, "scopes", auth.Scopes, "scp", auth.Scopes)))
}
