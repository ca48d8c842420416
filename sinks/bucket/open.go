package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const supported = "supported are file:///absolute/folder?mode=…, s3://bucket/prefix?region=…&endpoint=… and mem://"

// Open returns the store at a URL:
//
//   - file:///absolute/folder?mode=0600, which is created if it does not exist;
//   - s3://bucket/prefix?name=value on S3 or a store with the same API; the package comment lists
//     the parameters;
//   - mem://, a new store in the memory of this process, for tests and trials.
//
// It finds credentials, but sends no request to an S3 store yet: [Bucket.Probe] does. Errors never
// repeat the URL, which may hold secrets.
func Open(ctx context.Context, rawURL string) (*Bucket, error) {
	open, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the URL of the object store %w", err)
	}
	opened, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	return &Bucket{opened}, nil
}

// CheckURL returns what is wrong with a URL and what is supported, without opening the store. The
// error continues a sentence that begins with the URL, such as "must name a bucket".
func CheckURL(rawURL string) error {
	_, err := parse(rawURL)
	return err
}

// parse checks a URL and returns the function that opens it.
func parse(rawURL string) (open func(ctx context.Context) (store, error), err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("is not a URL; " + supported)
	}
	switch u.Scheme {
	case "file":
		mode, err := parseMode(u.RawQuery)
		if u.Host != "" && u.Host != "localhost" || u.User != nil || !strings.HasPrefix(u.Path, "/") || u.Fragment != "" ||
			err != nil {
			return nil, errors.New("must have three slashes, an absolute path, and nothing after it but ?mode= with an octal " +
				"mode of files from 0600 to 0666; " + supported)
		}
		return func(context.Context) (store, error) { return openFolder(u.Path, mode) }, nil
	case "mem":
		if rawURL != "mem://" {
			return nil, errors.New("must have nothing after mem://; " + supported)
		}
		return func(context.Context) (store, error) { return openMemory(), nil }, nil
	case "s3":
		cfg, err := parseS3(u)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (store, error) { return openS3(ctx, cfg) }, nil
	}
	return nil, fmt.Errorf("has the scheme %q; %s", u.Scheme, supported)
}

// defaultMode is the mode of files that only their user may read.
const defaultMode fs.FileMode = 0o600

// parseMode reads the parameter of the URL of a folder.
func parseMode(query string) (fs.FileMode, error) {
	if query == "" {
		return defaultMode, nil
	}
	text, ok := strings.CutPrefix(query, "mode=")
	mode, err := strconv.ParseUint(text, 8, 32)
	if !ok || err != nil || mode&^0o666 != 0 || mode&0o600 != 0o600 {
		return 0, errors.New("not a mode of files")
	}
	return fs.FileMode(mode), nil
}

// s3Config is the URL of an S3 store, parsed, and the limits of its client.
type s3Config struct {
	bucket, prefix string
	endpoint       string // http[s]://host[:port], or "" for Amazon's own
	pathStyle      bool
	sdk            url.Values // region, profile, role, anonymous: gocloud.dev/aws reads these

	credentials aws.CredentialsProvider // nil: the SDK's chain
	attempts    int                     // for each request
	maxBackoff  time.Duration           // between two attempts
	silence     time.Duration           // a connection without a byte in either direction for so long is dead
}

// s3Params are the parameters of an S3 URL. They have the names of gocloud.dev/blob/s3blob, except
// timeout, which is ours.
var s3Params = []string{"region", "endpoint", "use_path_style", "disable_https", "profile", "role", "anonymous",
	"timeout"}

// parseS3 reads an S3 URL.
func parseS3(u *url.URL) (s3Config, error) {
	cfg := s3Config{bucket: u.Hostname(), attempts: 4, maxBackoff: 5 * time.Second, silence: time.Minute}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case u.User != nil:
		return cfg, errors.New("must not hold credentials: give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as " +
			"profile=")
	case cfg.bucket == "" || u.Port() != "":
		return cfg, errors.New("must name a bucket after s3://, and a server other than Amazon's as endpoint=: " +
			"s3://bucket?endpoint=http://127.0.0.1:9000")
	case u.Fragment != "", err != nil:
		return cfg, errors.New("has a query that is not name=value&name=value")
	}
	for name, values := range query {
		switch {
		case !slices.Contains(s3Params, name):
			return cfg, fmt.Errorf("has the unknown parameter %q; possible are %s", name, strings.Join(s3Params, ", "))
		case len(values) > 1 || values[0] == "":
			return cfg, fmt.Errorf("must give %s= one value", name)
		}
	}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		if rule := keyRule(prefix); rule != "" {
			return cfg, fmt.Errorf("has a prefix after the bucket's name that %s", rule)
		}
		cfg.prefix = prefix + "/"
	}
	if query.Has("timeout") {
		if cfg.silence, err = time.ParseDuration(query.Get("timeout")); err != nil || cfg.silence < time.Second {
			return cfg, errors.New("must have a timeout= of at least a second, such as 60s: how long the store may be silent")
		}
		query.Del("timeout")
	}
	if err := cfg.parseEndpoint(query); err != nil {
		return cfg, err
	}
	cfg.sdk = query
	return cfg, nil
}

// parseEndpoint reads the parameters about the server, and removes them from the query.
func (c *s3Config) parseEndpoint(query url.Values) error {
	flags := map[string]bool{"use_path_style": query.Has("endpoint"), "disable_https": false, "anonymous": false}
	for name := range flags {
		if !query.Has(name) {
			continue
		}
		value, err := strconv.ParseBool(query.Get(name))
		if err != nil {
			return fmt.Errorf("must have %s=true or %s=false", name, name)
		}
		flags[name] = value
	}
	c.pathStyle = flags["use_path_style"]
	c.endpoint = query.Get("endpoint")
	plain := flags["disable_https"]
	for _, name := range []string{"endpoint", "use_path_style", "disable_https"} {
		query.Del(name)
	}
	if c.endpoint == "" {
		if plain {
			return errors.New("has disable_https=true without an endpoint=; Amazon's is always HTTPS here")
		}
		return nil
	}
	if !strings.Contains(c.endpoint, "://") {
		c.endpoint = "https://" + c.endpoint
		if plain {
			c.endpoint = "http://" + strings.TrimPrefix(c.endpoint, "https://")
		}
	}
	e, err := url.Parse(c.endpoint)
	switch {
	case err != nil, e.Scheme != "http" && e.Scheme != "https", e.Host == "", e.User != nil,
		strings.Trim(e.Path, "/") != "", e.RawQuery != "", e.Fragment != "":
		return errors.New("must have an endpoint= such as http://127.0.0.1:9000 or https://s3.example.com, " +
			"without a path and without credentials")
	case plain && e.Scheme == "https":
		return errors.New("has disable_https=true and an endpoint= with https://: drop one of them")
	}
	return nil
}
