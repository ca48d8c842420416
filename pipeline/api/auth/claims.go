package auth

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

var errWorkspace = errors.New("workspace " + workspaceRule)

// lastSecond is the last second of the year 9999: RFC 3339 cannot express later times.
const lastSecond = 253402300799

// claims are the claims of a token that are used, as [jwt.Claims]. Other claims are ignored.
type claims struct {
	issuer, subject, workspace string
	audience, scopes           []string
	expires, notBefore, issued *jwt.NumericDate
}

// UnmarshalJSON refuses what strictjson refuses, and claims of a wrong type, also null.
func (c *claims) UnmarshalJSON(doc []byte) error {
	var r strictjson.Reader
	r.Reset(doc, "", strictjson.MaxDepth)
	err := r.Object(func(name string) (err error) {
		switch name {
		case "iss":
			c.issuer, err = r.Text()
		case "sub":
			c.subject, err = r.Text()
		case "workspace":
			c.workspace, err = r.Text()
		case "aud":
			c.audience, err = texts(&r, func(s string) []string { return []string{s} })
		case "scope":
			c.scopes, err = texts(&r, splitScope)
		case "exp":
			c.expires, err = date(&r)
		case "nbf":
			c.notBefore, err = date(&r)
		case "iat":
			c.issued, err = date(&r)
		default:
			err = r.Skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.End()
}

// splitScope splits a list of scopes, RFC 8693, section 4.2.
func splitScope(list string) (scopes []string) {
	for scope := range strings.SplitSeq(list, " ") {
		if scope != "" {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// texts parses an array of strings, or a string that split splits.
func texts(r *strictjson.Reader, split func(string) []string) (list []string, err error) {
	switch r.Kind() {
	case strictjson.String:
		text, err := r.Text()
		return split(text), err
	case strictjson.Array:
		err = r.Array(func(int) error {
			text, err := r.Text()
			list = append(list, text)
			return err
		})
		return list, err
	}
	return nil, r.WrongType("must be a string or an array of strings")
}

// date parses a NumericDate, RFC 7519, section 2: seconds, which may have fractions.
func date(r *strictjson.Reader) (*jwt.NumericDate, error) {
	text, err := r.Numeral()
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < 0 || seconds > lastSecond {
		return nil, r.Refuse(strictjson.OutOfRange, "must be seconds since 1970, up to the year 9999")
	}
	whole, fraction := math.Modf(seconds)
	return &jwt.NumericDate{Time: time.Unix(int64(whole), int64(fraction*1e9)).UTC()}, nil
}

// Validate is called after the signature was verified.
func (c *claims) Validate() error {
	if !runs.ValidWorkspaceID(c.workspace) {
		return errWorkspace
	}
	return nil
}

// GetExpirationTime is exp.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expires, nil }

// GetNotBefore is nbf.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.notBefore, nil }

// GetIssuedAt is iat.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.issued, nil }

// GetIssuer is iss.
func (c *claims) GetIssuer() (string, error) { return c.issuer, nil }

// GetSubject is sub.
func (c *claims) GetSubject() (string, error) { return c.subject, nil }

// GetAudience is aud.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return c.audience, nil }
