package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace/millrace/pipeline/strictjson"
)

const (
	maxToken = 16 << 10         // bytes; servers of the field allow headers of 8 to 16 KiB
	leeway   = 30 * time.Second // how much the clocks of an issuer and ours may differ
)

// Algorithms, RFC 7518, section 3.1, and RFC 8037, section 3.1.
const (
	hs256 = "HS256"
	rs256 = "RS256"
	es256 = "ES256"
	eddsa = "EdDSA"
)

func newParser(cfg Config) *jwt.Parser {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{rs256, es256, eddsa, hs256}), jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
	}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	return jwt.NewParser(options...)
}

// Check returns the caller of a token and when the token expires. The error is a *Refusal.
func (a *Authenticator) Check(token string) (*Caller, time.Time, error) {
	h, refusal := readHeader(token)
	if refusal != nil {
		return nil, time.Time{}, refusal
	}
	key, refusal := a.key(h)
	if refusal != nil {
		return nil, time.Time{}, refusal
	}
	var c claims
	// The library reads the same header: readHeader has refused one that has a key twice.
	if _, err := a.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
		return nil, time.Time{}, unauthorized(a.explain(err, &c))
	}
	if time.Until(c.expires.Time) > a.cfg.MaxLifetime+leeway {
		return nil, time.Time{}, unauthorized(fmt.Sprintf("the token's exp is more than %s ahead, which is the longest that "+
			"this server accepts: ask for one that expires earlier", a.cfg.MaxLifetime))
	}
	id := tokenID(token)
	if a.revoked.has(id) {
		return nil, time.Time{}, unauthorized("the token was revoked when its owner signed out: ask for a new one")
	}
	return &Caller{Workspace: c.workspace, Subject: c.subject, Scopes: c.scopes, Expires: c.expires.Time, id: id},
		c.expires.Time, nil
}

// key returns the key that verifies the signature, always of the type that the algorithm takes.
func (a *Authenticator) key(h header) (any, *Refusal) {
	switch {
	case h.alg == hs256 && a.secret != nil:
		return a.secret, nil
	case (h.alg == rs256 || h.alg == es256 || h.alg == eddsa) && a.keys != nil:
		if key := a.keys.find(h); key != nil {
			return key, nil
		}
		return nil, unauthorized("the token's key is not known")
	}
	return nil, unauthorized("the token's alg is not accepted")
}

// header is the part of a token header that is used. All else is ignored, above all parameters that
// say where the key is.
type header struct {
	alg   string
	kid   string
	named bool // there is a kid
}

// readHeader reads a token's header, and refuses what is not a JWT of three parts. The base64
// decoders of the library pass over line breaks, so that the letters are checked here.
func readHeader(token string) (h header, refusal *Refusal) {
	if len(token) > maxToken {
		return h, unauthorized("the token is larger than 16 KiB")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || strings.ContainsFunc(token, notInToken) {
		return h, unauthorized("the token is not a JWT")
	}
	doc, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil {
		return h, unauthorized("the token is not a JWT")
	}
	var r strictjson.Reader
	r.Reset(doc, "", strictjson.MaxDepth)
	err = r.Object(func(name string) (err error) {
		switch name {
		case "alg":
			h.alg, err = r.Text()
		case "kid":
			h.kid, err = r.Text()
			h.named = true
		case "crit":
			// RFC 7515, section 4.1.11: whoever does not understand an extension refuses the token,
			// and none is understood here.
			err = r.RefuseField(strictjson.OutOfRange, "crit", "extensions are not understood")
		default:
			err = r.Skip()
		}
		return err
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return h, unauthorized("the token's header is refused: " + detail(err))
	}
	return h, nil
}

func notInToken(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		return false
	}
	return true
}

func detail(err error) string {
	var refusal *strictjson.Refusal
	if errors.As(err, &refusal) {
		return refusal.Detail()
	}
	return "not JSON"
}

// explain returns why a token is refused. It names values only after the signature was verified.
func (a *Authenticator) explain(err error, c *claims) string {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		if _, ok := errors.AsType[*strictjson.Refusal](err); ok {
			return "the token's claims are refused: " + detail(err)
		}
		return "the token is not a JWT"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "the token's signature is not valid"
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "the token's issuer is not the one that is trusted here"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "the token is for another audience"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "the token lacks the claim " + a.missing(c)
	case errors.Is(err, errWorkspace):
		return "the token's claim workspace " + workspaceRule
	}
	return "the token is not valid"
}

func (a *Authenticator) missing(c *claims) string {
	switch {
	case c.expires == nil:
		return "exp"
	case c.issuer == "" && a.cfg.Issuer != "":
		return "iss"
	}
	return "aud"
}
