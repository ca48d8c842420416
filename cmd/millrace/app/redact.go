package app

import (
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// masked stands for a secret wherever the configuration is shown.
const masked = "***"

// userInfo matches the scheme of a URL and all that may be its user and password. A password with
// characters that should be escaped may reach as far as the last @.
var userInfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@`)

// Redact masks the users and passwords of the URLs in a text.
func Redact(text string) string { return userInfo.ReplaceAllString(text, "${1}"+masked+"@") }

// openParameters are the parameters of URLs that never hold a secret: those of BUCKET_URL, and those
// of CLICKHOUSE_DSN that name no password, proxy or host. Values of others are masked, known or not.
var openParameters = []string{
	"region", "endpoint", "use_path_style", "disable_https", "profile", "role", "anonymous", "timeout",
	"secure", "skip_verify", "tls_server_name", "dial_timeout", "read_timeout", "compress", "compress_level",
	"max_compression_buffer", "block_buffer_size", "connection_open_strategy", "max_open_conns", "max_idle_conns",
	"conn_max_lifetime", "client_info_product", "database", "username", "debug",
}

// Mask returns the value of a variable as it may be shown.
func (v Variable) Mask(value string) string {
	switch {
	case value == "":
		return ""
	case v.Secret == "":
		return Redact(value)
	case v.Secret == "true":
		return masked
	}
	u, err := url.Parse(value)
	if err != nil {
		return masked
	}
	query := u.Query()
	for name := range query {
		if !slices.Contains(openParameters, name) {
			query.Set(name, masked)
		}
	}
	if len(query) > 0 {
		u.RawQuery = query.Encode()
	}
	if u.Fragment != "" {
		u.Fragment = masked
	}
	_, password := u.User.Password()
	switch {
	case u.User == nil:
	case v.Secret != "dsn": // the user may be a token
		u.User = url.User(masked)
	case password:
		u.User = url.UserPassword(u.User.Username(), masked)
	}
	return strings.NewReplacer(url.QueryEscape(masked), masked, url.PathEscape(masked), masked).Replace(u.String())
}

// badPassword reports whether a URL has an @ behind its host: the password has a character that ends
// the host, so that what follows it would be shown.
func badPassword(rawURL string) bool {
	_, rest, _ := strings.Cut(rawURL, "://")
	end := strings.IndexAny(rest, "/?#")
	return end >= 0 && strings.Contains(rest[end:], "@")
}

const badPasswordRule = "has an @ behind the host: write the characters / ? # and @ of a user or password as " +
	"%%2F, %%3F, %%23 and %%40"

// redactAttr masks URLs in the log.
func redactAttr(_ []string, attr slog.Attr) slog.Attr {
	switch value := attr.Value.Any().(type) {
	case string:
		attr.Value = slog.StringValue(Redact(value))
	case []string:
		shown := make([]string, len(value))
		for i := range value {
			shown[i] = Redact(value[i])
		}
		attr.Value = slog.AnyValue(shown)
	case error:
		attr.Value = slog.StringValue(Redact(value.Error()))
	}
	return attr
}
