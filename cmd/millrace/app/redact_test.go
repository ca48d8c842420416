package app

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// secret is what no text may show. It ends before the characters that a URL reads as its own.
const secret = "hunter2"

// shown returns all variables as the command config shows them.
func shown(c *Config) string {
	var b strings.Builder
	value := reflect.ValueOf(c).Elem()
	for _, v := range Variables() {
		fmt.Fprintf(&b, "%s=%s\n", v.Name, v.Mask(fmt.Sprint(value.FieldByIndex(v.Field.Index).Interface())))
	}
	return b.String()
}

func TestNoSecretOfAURLIsShown(t *testing.T) {
	t.Parallel()
	for _, v := range []string{
		"CLICKHOUSE_DSN=clickhouse://me:hunter2@db.example:9440/lake?secure=true",
		"CLICKHOUSE_DSN=clickhouse://me:hunter2%40x@a.example:9440,b.example:9440/lake",
		"CLICKHOUSE_DSN=clickhouse://db.example:9440/lake?username=me&password=hunter2",
		"CLICKHOUSE_DSN=clickhouse://db.example:9440/lake?hosts=me:hunter2%40a:1&http_proxy=http://me:hunter2%40proxy",
		"CLICKHOUSE_DSN=clickhouse://db.example:9440/lake?http_proxy=http://me:hunter2%40proxy",
		"CLICKHOUSE_DSN=clickhouse://db.example:9440/lake?some_setting=hunter2#hunter2",
		"CLICKHOUSE_DSN=clickhouse://me:12/hunter2@db.example:9440/lake",
		"CLICKHOUSE_DSN=clickhouse://me:12?hunter2@db.example:9440/lake",
		"CLICKHOUSE_DSN=clickhouse://me:12#hunter2@db.example:9440/lake",
		"CLICKHOUSE_DSN=clickhouse://me:hunter2#@db.example:9440/lake",
		"CLICKHOUSE_DSN=http://me:hunter2@db.example:8123/lake",
		"AUTH_JWKS_URL=https://me:hunter2@idp.example/jwks", "AUTH_JWKS_URL=https://hunter2@idp.example/jwks",
		"AUTH_JWKS_URL=https://idp.example/jwks?x=hunter2", "AUTH_JWKS_URL=https://idp.example/jwks#hunter2",
		"AUTH_JWKS_URL=https://me:12/hunter2@idp.example/jwks", "AUTH_JWKS_URL=ftp://me:hunter2@idp.example/jwks",
		"HTTP_URL=https://me:hunter2@millrace.example", "HTTP_URL=https://millrace.example/?token=hunter2",
		"HTTP_URL=https://millrace.example/#hunter2", "HTTP_URL=https://hunter2@millrace.example",
		"BUCKET_URL=s3://key:hunter2@bucket?region=eu", "BUCKET_URL=s3://bucket?endpoint=http://key:hunter2@store:9000",
		"BUCKET_URL=s3://bucket?secret=hunter2", "BUCKET_URL=file://me:hunter2@localhost/bucket",
		"KAFKA_BROKERS=a:1,me:hunter2@broker.example:9092", "KAFKA_BROKERS=hunter2@broker.example:9092",
		"KAFKA_BROKERS=sasl://me:hunter2@broker.example:9092", "HTTP_ADDR=http://me:hunter2@0.0.0.0:8080",
		"OPS_ADDR=me:hunter2@0.0.0.0:8080", "LIBCHDB=https://me:hunter2@files.example/libchdb.so",
		"KAFKA_SASL_PASSWORD=hunter2", "KAFKA_SASL_PASSWORD_FILE=hunter2", "AUTH_JWKS_URL_FILE=https://me:hunter2@idp.example/",
		"CLICKHOUSE_DSN_FILE=clickhouse://me:hunter2@db.example:9440/lake", "NO_SUCH=https://me:hunter2@x",
	} {
		cfg, err := Load([]string{EnvPrefix + v})
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the mistake shows it: %v", v, err)
			}
			continue
		}
		if text := shown(cfg); strings.Contains(text, secret) {
			t.Errorf("%s: shown is\n%s", v, text)
		}
		var log bytes.Buffer
		_, value, _ := strings.Cut(v, "=")
		for _, format := range []string{"text", "json"} {
			cfg.LogFormat = format
			cfg.Logger(&log).Error("cannot ask https://me:hunter2@x/", "clickhouse", cfg.DSN.Addr(), "kafka", cfg.KafkaBrokers,
				"bucket", cfg.BucketURL, "list", []string{"https://me:hunter2@x/"}, "error", errors.New("get https://me:hunter2@x/"))
		}
		if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), `"list":["https://***@x/"]`) {
			t.Errorf("%s: the log has\n%s", value, log.String())
		}
	}
}

func TestWhatIsNotSecretOfAURLIsShown(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"CLICKHOUSE_DSN=clickhouse://me:s@a:9440,b:9440/lake?secure=true&x=1": "clickhouse://me:***@a:9440,b:9440/lake?secure=true&x=***",
		"CLICKHOUSE_DSN=clickhouse://me@a:9440/lake":                          "clickhouse://me@a:9440/lake",
		"AUTH_JWKS_URL=https://me:s@idp.example/jwks?key=s":                   "https://***@idp.example/jwks?key=***",
		"BUCKET_URL=s3://exports/x?region=eu-1&endpoint=http://s3:9000":       "s3://exports/x?region=eu-1&endpoint=http://s3:9000",
	} {
		cfg, err := Load([]string{EnvPrefix + value})
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(value, "=")
		if line := "\n" + EnvPrefix + name + "=" + want + "\n"; !strings.Contains(shown(cfg), line) {
			t.Errorf("%s: no line %q in\n%s", value, line, shown(cfg))
		}
	}
}

// Somebody may write the content of a file in place of its name.
func TestAFileOfAKeyIsNotNamedIfItCannotBeRead(t *testing.T) {
	t.Parallel()
	cfg, err := Load([]string{"MILLRACE_KAFKA_TLS_ENABLED=true", "MILLRACE_KAFKA_TLS_CERT_FILE=/dev/null",
		"MILLRACE_KAFKA_TLS_KEY_FILE=" + filepath.Join(t.TempDir(), secret)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.kafkaOptions(); err == nil || strings.Contains(err.Error(), secret) ||
		!strings.Contains(err.Error(), "MILLRACE_KAFKA_TLS_KEY_FILE: ") {
		t.Errorf("the error is %v", err)
	}
}
