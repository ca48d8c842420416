package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/telemetry"
	"github.com/millrace/millrace/sinks/bucket"
)

// EnvPrefix starts the name of each environment variable.
const EnvPrefix = "MILLRACE_"

// Config is the whole configuration. Each field with an env tag is read from the environment
// variable of that name with the prefix MILLRACE_. The table of variables in cmd/millrace/README.md
// is generated from the tags, and a test compares the two.
type Config struct {
	KafkaBrokers               []string `env:"KAFKA_BROKERS" envDefault:"127.0.0.1:9092" desc:"Addresses of Kafka brokers, host:port, comma-separated."`
	KafkaTopicPrefix           string   `env:"KAFKA_TOPIC_PREFIX" envDefault:"millrace." desc:"Prefix of the names of all topics and consumer groups."`
	KafkaTransactionalIDPrefix string   `env:"KAFKA_TRANSACTIONAL_ID_PREFIX" envDefault:"millrace." desc:"Prefix of the transactional ids of the export stages, for ACLs."`
	KafkaTLSEnabled            bool     `env:"KAFKA_TLS_ENABLED" desc:"Whether to speak TLS with Kafka."`
	KafkaTLSCAFile             string   `env:"KAFKA_TLS_CA_FILE" desc:"PEM file of the authorities to trust; empty = the system's."`
	KafkaTLSCertFile           string   `env:"KAFKA_TLS_CERT_FILE" desc:"PEM file of the client's certificate, for mutual TLS."`
	KafkaTLSKeyFile            string   `env:"KAFKA_TLS_KEY_FILE" desc:"PEM file of the key of the client's certificate."`
	KafkaTLSServerName         string   `env:"KAFKA_TLS_SERVER_NAME" desc:"Name expected in the brokers' certificates; empty = the host that is dialled."`
	KafkaSASLMechanism         string   `env:"KAFKA_SASL_MECHANISM" desc:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty = no SASL."`
	KafkaSASLUser              string   `env:"KAFKA_SASL_USER" desc:"SASL user."`
	KafkaSASLPassword          string   `env:"KAFKA_SASL_PASSWORD" secret:"true" desc:"SASL password; or set KAFKA_SASL_PASSWORD_FILE to a file that holds it."`

	ClickHouseDSN          string `env:"CLICKHOUSE_DSN" secret:"dsn" desc:"Data source name, clickhouse://user:password@host:9000/database, native protocol, with compress=none, lz4 or zstd where it should not be lz4 between machines and none within one; or set CLICKHOUSE_DSN_FILE to a file that holds it. Empty = millrace local's, clickhouse://127.0.0.1:9000/millrace, with the password in its folder."`
	ClickHouseCluster      string `env:"CLICKHOUSE_CLUSTER" desc:"Cluster to create replicated, sharded tables on; empty = a single server."`
	ClickHouseInsertQuorum int    `env:"CLICKHOUSE_INSERT_QUORUM" envDefault:"0" min:"0" max:"100" desc:"Replicas of a shard that must have the rows before ingest commits their offsets, on a cluster; 0 = the one that is written to. While fewer answer, ingest waits."`

	BucketURL string `env:"BUCKET_URL" desc:"Bucket that exports are written to, file:///path?mode=0600 or s3://bucket/prefix?region=…&endpoint=…; default DIR/bucket of millrace local."`

	HTTPAddr        string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080" desc:"Address of the HTTP API and pages of serve and local. Without AUTH_ keys it must be a loopback address."`
	HTTPURL         string `env:"HTTP_URL" desc:"Public URL of the HTTP API and pages, for links in answers. URLs of files that need no token are made only with it, or for callers on this machine; empty = the host that a request was sent to."`
	HTTPTLSCertFile string `env:"HTTP_TLS_CERT_FILE" desc:"PEM file of the certificate of HTTP_ADDR, with its chain; with it the address speaks HTTPS. Read again when it changes."`
	HTTPTLSKeyFile  string `env:"HTTP_TLS_KEY_FILE" desc:"PEM file of the key of that certificate."`
	OpsAddr         string `env:"OPS_ADDR" envDefault:"127.0.0.1:0" desc:"Address of /metrics, /healthz, /readyz and /debug/pprof; port 0 picks a free one, which is printed."`
	OpsTLSCertFile  string `env:"OPS_TLS_CERT_FILE" desc:"PEM file of the certificate of OPS_ADDR, as for HTTP_TLS_CERT_FILE."`
	OpsTLSKeyFile   string `env:"OPS_TLS_KEY_FILE" desc:"PEM file of the key of that certificate."`
	OpsPprof        bool   `env:"OPS_PPROF" desc:"Whether /debug/pprof answers although OPS_ADDR is no loopback address. Profiles have no password."`

	AuthJWKSFile       string        `env:"AUTH_JWKS_FILE" desc:"File of a JWK Set with the public keys that check RS256, ES256 and EdDSA tokens of the HTTP API; read again when it changes."`
	AuthJWKSURL        string        `env:"AUTH_JWKS_URL" secret:"url" desc:"URL of a JWK Set, instead of a file; fetched again every five minutes, and when a token names a key that is not in the set. If it holds a password, AUTH_JWKS_URL_FILE may name a file that holds it."`
	AuthHMACSecretFile string        `env:"AUTH_HMAC_SECRET_FILE" desc:"File of a shared secret of at least 32 bytes, for HS256 tokens; a line break at the end of the file is ignored."`
	AuthIssuer         string        `env:"AUTH_ISSUER" desc:"Issuer that tokens must name; empty = any."`
	AuthAudience       string        `env:"AUTH_AUDIENCE" desc:"Audience that tokens must name; empty = any."`
	AuthMaxLifetime    time.Duration `env:"AUTH_MAX_LIFETIME" envDefault:"2160h" desc:"How far ahead the exp of a token may be; tokens that expire later are refused."`
	DefaultWorkspace   string        `env:"DEFAULT_WORKSPACE" envDefault:"default" desc:"Workspace of commands without --workspace; without AUTH_ keys, also of HTTP requests that name no workspace."`

	ExportWindowRecords   int           `env:"EXPORT_WINDOW_RECORDS" envDefault:"30000" min:"1" max:"1000000" desc:"Maximum of source rows in a window of an export; one worker reads one window at a time."`
	ExportWindowsInFlight int           `env:"EXPORT_WINDOWS_IN_FLIGHT" envDefault:"48" min:"1" max:"10000" desc:"Maximum of windows of one export that are in flight at a time."`
	ExportConcurrency     int           `env:"EXPORT_CONCURRENCY" envDefault:"4" min:"1" max:"256" desc:"Maximum of windows that one process works on at a time. Of three or more, large exports leave one to small ones."`
	ExportPlanningTime    time.Duration `env:"EXPORT_PLANNING_TIME" envDefault:"30s" min:"1s" max:"10m" desc:"How long ClickHouse may take to count, and to freeze, the rows of one request; for one of more than a window 20 times as long. An export that takes longer fails, so that others can be planned."`

	IngestBatchRows     int           `env:"INGEST_BATCH_ROWS" envDefault:"50000" min:"1" max:"1000000" desc:"Maximum of events in one insert."`
	IngestBatchBytes    int           `env:"INGEST_BATCH_BYTES" envDefault:"16777216" min:"1" max:"1073741824" desc:"Maximum of bytes of the events in one insert; the process uses a few times as much memory."`
	IngestBatchInterval time.Duration `env:"INGEST_BATCH_INTERVAL" envDefault:"1s" min:"1ms" max:"5m" desc:"Longest time that an event waits for others to fill an insert."`

	MaxEventBytes     int           `env:"MAX_EVENT_BYTES" envDefault:"33554432" min:"65536" max:"33554432" desc:"Maximum of bytes of a run event; a larger one becomes a dead letter. Topics are made for it, see millrace topics."`
	MaxStringBytes    int           `env:"MAX_STRING_BYTES" envDefault:"16777216" min:"1024" max:"16777216" desc:"Maximum of bytes of a string of a run event."`
	MaxClockSkew      time.Duration `env:"MAX_CLOCK_SKEW" envDefault:"24h" min:"1m" max:"87600h" desc:"How far the updated_at of a run event may be ahead of the clock; an event further ahead becomes a dead letter."`
	MemoryBudgetBytes int64         `env:"MEMORY_BUDGET_BYTES" envDefault:"0" min:"0" max:"1099511627776" desc:"Bytes that batches, windows of exports, requests and answers of one process may take together; what does not fit waits. 0 = half of the process's memory limit, or 512 MiB without a limit."`

	Libchdb   string `env:"LIBCHDB" desc:"Path of libchdb, the ClickHouse engine of millrace local; empty = fetched through npm on first use, on Linux with amd64."`
	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" desc:"debug, info, warn or error."`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" desc:"text or json."`

	LocalKafkaPort          int `env:"LOCAL_KAFKA_PORT" envDefault:"9092" min:"0" max:"65535" desc:"Port of millrace local's Kafka; 0 picks a free one."`
	LocalClickHousePort     int `env:"LOCAL_CLICKHOUSE_PORT" envDefault:"9000" min:"0" max:"65535" desc:"Native port of millrace local's ClickHouse; 0 picks a free one."`
	LocalClickHouseHTTPPort int `env:"LOCAL_CLICKHOUSE_HTTP_PORT" envDefault:"8123" min:"0" max:"65535" desc:"HTTP port of millrace local's ClickHouse; 0 picks a free one."`

	DSN     *clickhouse.DSN
	Unknown []string // set variables with the prefix that no field reads
}

// Variable is an environment variable and the field of Config that it sets.
type Variable struct {
	Name, fallback, desc, Secret string // name with the prefix
	Field                        reflect.StructField
}

// Variables returns the variables of the configuration, in the order of the fields.
func Variables() []Variable {
	var list []Variable
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("env"); name != "" {
			list = append(list, Variable{EnvPrefix + name, f.Tag.Get("envDefault"), f.Tag.Get("desc"), f.Tag.Get("secret"), f})
		}
	}
	return list
}

// Load reads and checks the whole configuration. The error lists every mistake, one a line.
func Load(environ []string) (*Config, error) {
	values := env.ToMap(environ)
	var mistakes []error
	var cfg Config
	known := map[string]bool{}
	for _, v := range Variables() {
		known[v.Name] = true
		if v.Secret == "" {
			continue
		}
		known[v.Name+"_FILE"] = true
		if path := values[v.Name+"_FILE"]; path != "" {
			secret, err := os.ReadFile(path)
			if err != nil { // without the path: somebody may have written the secret itself
				mistakes = append(mistakes, fmt.Errorf("%s_FILE: read the file: %w", v.Name, pathless(err)))
			} else if values[v.Name] != "" {
				mistakes = append(mistakes, fmt.Errorf("%s and %s_FILE: set one of them", v.Name, v.Name))
			}
			values[v.Name] = strings.TrimSpace(string(secret))
		}
	}
	for name := range values {
		if strings.HasPrefix(name, EnvPrefix) && !known[name] {
			cfg.Unknown = append(cfg.Unknown, name)
		}
	}
	slices.Sort(cfg.Unknown)
	mistakes = append(mistakes, parseEnv(&cfg, values)...)
	for _, m := range cfg.check() {
		name, _, _ := strings.Cut(m.Error(), ":")
		if !slices.ContainsFunc(mistakes, func(e error) bool { return strings.HasPrefix(e.Error(), name) }) {
			mistakes = append(mistakes, m)
		}
	}
	if len(mistakes) > 0 {
		return nil, fmt.Errorf("the configuration has mistakes:\n%w", errors.Join(mistakes...))
	}
	return &cfg, nil
}

func parseEnv(cfg *Config, values map[string]string) (mistakes []error) {
	err := env.ParseWithOptions(cfg, env.Options{Prefix: EnvPrefix, Environment: values})
	var all env.AggregateError
	if err != nil && !errors.As(err, &all) {
		return []error{err}
	}
	for _, e := range all.Errors {
		var parse env.ParseError
		if !errors.As(e, &parse) {
			mistakes = append(mistakes, e)
			continue
		}
		for _, v := range Variables() {
			if v.Field.Name == parse.Name {
				mistakes = append(mistakes, fmt.Errorf("%s: not a valid %s: %w", v.Name, v.Field.Type, parse.Err))
			}
		}
	}
	return mistakes
}

// check returns every mistake in values that could be parsed.
func (c *Config) check() (mistakes []error) {
	wrong := func(name, format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("%s%s: %w", EnvPrefix, name, fmt.Errorf(format, args...)))
	}
	c.checkLimits(wrong)
	for _, broker := range c.KafkaBrokers {
		c.checkAddress(wrong, "KAFKA_BROKERS", broker)
	}
	if err := kafka.CheckTopicPrefix(c.KafkaTopicPrefix); err != nil {
		wrong("KAFKA_TOPIC_PREFIX", "%w", err)
	}
	if err := kafka.CheckTransactionalIDPrefix(c.KafkaTransactionalIDPrefix); err != nil {
		wrong("KAFKA_TRANSACTIONAL_ID_PREFIX", "%w", err)
	}
	if m := c.KafkaSASLMechanism; !slices.Contains([]string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, m) {
		wrong("KAFKA_SASL_MECHANISM", "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	} else if m != "" && (c.KafkaSASLUser == "" || c.KafkaSASLPassword == "") {
		wrong("KAFKA_SASL_MECHANISM", "needs MILLRACE_KAFKA_SASL_USER and MILLRACE_KAFKA_SASL_PASSWORD")
	}
	for _, pair := range [][3]string{{"KAFKA", c.KafkaTLSCertFile, c.KafkaTLSKeyFile},
		{"HTTP", c.HTTPTLSCertFile, c.HTTPTLSKeyFile}, {"OPS", c.OpsTLSCertFile, c.OpsTLSKeyFile}} {
		if (pair[1] == "") != (pair[2] == "") {
			wrong(pair[0]+"_TLS_CERT_FILE", "needs MILLRACE_%s_TLS_KEY_FILE: set both or neither", pair[0])
		}
	}
	if !c.KafkaTLSEnabled && c.KafkaTLSCAFile+c.KafkaTLSCertFile+c.KafkaTLSServerName != "" {
		wrong("KAFKA_TLS_ENABLED", "must be true, since other MILLRACE_KAFKA_TLS_ variables are set")
	}
	var err error
	if c.ClickHouseDSN == "" {
		c.ClickHouseDSN = defaultDSN()
	}
	if c.DSN, err = clickhouse.ParseDSN(c.ClickHouseDSN); err != nil {
		wrong("CLICKHOUSE_DSN", "%w", err)
	} else {
		c.DSN = c.DSN.OnCluster(c.ClickHouseCluster)
	}
	if c.BucketURL == "" {
		c.BucketURL = BucketURL(DefaultDataDir())
	}
	if err := bucket.CheckURL(c.BucketURL); err != nil {
		wrong("BUCKET_URL", "%w", err)
	}
	c.checkAddress(wrong, "HTTP_ADDR", c.HTTPAddr)
	c.checkAddress(wrong, "OPS_ADDR", c.OpsAddr)
	if u, err := url.Parse(c.HTTPURL); c.HTTPURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" ||
		u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		wrong("HTTP_URL", "must be a URL such as https://millrace.example.com, without a user and without parameters")
	}
	if c.AuthMaxLifetime < time.Minute {
		wrong("AUTH_MAX_LIFETIME", "must be at least 1m")
	}
	if c.AuthJWKSFile != "" && c.AuthJWKSURL != "" {
		wrong("AUTH_JWKS_FILE", "cannot be combined with MILLRACE_AUTH_JWKS_URL: set one of them")
	}
	for _, v := range [][2]string{{"CLICKHOUSE_DSN", c.ClickHouseDSN}, {"AUTH_JWKS_URL", c.AuthJWKSURL}} {
		if badPassword(v[1]) {
			wrong(v[0], badPasswordRule)
		}
	}
	if u, err := url.Parse(c.AuthJWKSURL); c.AuthJWKSURL != "" && (err != nil || u.Scheme != "http" &&
		u.Scheme != "https" || u.Host == "") {
		wrong("AUTH_JWKS_URL", "must be http://… or https://…")
	}
	if !runs.ValidWorkspaceID(c.DefaultWorkspace) {
		wrong("DEFAULT_WORKSPACE", "must match [a-z0-9][a-z0-9_-]{0,62}")
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		wrong("LOG_LEVEL", "must be debug, info, warn or error")
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		wrong("LOG_FORMAT", "must be text or json")
	}
	return mistakes
}

// checkAddress checks an address. One that has a user is not repeated, since it may have a password.
func (c *Config) checkAddress(wrong func(name, format string, args ...any), name, address string) {
	_, _, err := net.SplitHostPort(address)
	switch {
	case strings.ContainsAny(address, "@/"):
		wrong(name, "is not host:port: leave out what is not host or port, such as a scheme or a user")
	case err != nil:
		wrong(name, "%q is not host:port", address)
	}
}

// pathless returns why a file could not be read, without the path.
func pathless(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// checkLimits checks numbers against the min and max of their tags.
func (c *Config) checkLimits(wrong func(name, format string, args ...any)) {
	value := reflect.ValueOf(c).Elem()
	for _, v := range Variables() {
		low, high := v.Field.Tag.Get("min"), v.Field.Tag.Get("max")
		if low == "" {
			continue
		}
		n := value.FieldByIndex(v.Field.Index).Int()
		if n < parseLimit(low) || n > parseLimit(high) {
			wrong(strings.TrimPrefix(v.Name, EnvPrefix), "must be from %s to %s", low, high)
		}
	}
}

func parseLimit(s string) int64 {
	if d, err := time.ParseDuration(s); err == nil && d != 0 {
		return int64(d)
	}
	var n int64
	fmt.Sscan(s, &n) //nolint:errcheck // the tags are numbers
	return n
}

// DefaultDataDir returns the folder in which millrace local keeps its data:
// $XDG_DATA_HOME/millrace.
func DefaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "millrace")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "share", "millrace")
}

// PasswordFile returns the path of the password of ClickHouse in the folder of a local stack.
func PasswordFile(dataDir string) string { return filepath.Join(dataDir, "clickhouse-password") }

// defaultDSN returns the data source name of millrace local. A password that cannot be read is left
// out: ClickHouse then says that it is missing, if the command needs ClickHouse at all.
func defaultDSN() string {
	u := url.URL{Scheme: "clickhouse", Host: "127.0.0.1:9000", Path: "/" + clickhouse.DefaultDatabase}
	if password, err := local.ReadPassword(PasswordFile(DefaultDataDir())); err == nil {
		u.User = url.UserPassword(local.User, password)
	}
	return u.String()
}

// BucketURL returns the URL of the bucket of a local stack that keeps its data in a folder.
func BucketURL(dataDir string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dataDir, "bucket"))}).String()
}

// Logger returns the logger that LOG_LEVEL and LOG_FORMAT ask for.
func (c *Config) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(c.LogLevel)) //nolint:errcheck // checked
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redactAttr}
	if c.LogFormat == "json" {
		return slog.New(telemetry.WithContext(slog.NewJSONHandler(w, options)))
	}
	return slog.New(telemetry.WithContext(slog.NewTextHandler(w, options)))
}
