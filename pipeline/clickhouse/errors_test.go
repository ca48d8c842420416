package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

// answer is the server's error as ch-go returns it.
func answer(code int, text string) error {
	return fmt.Errorf("insert: %w", &ch.Exception{Code: proto.Error(code), Name: "DB::Exception", Message: text})
}

func TestEveryCodeOfTheEvidenceHasItsClass(t *testing.T) {
	t.Parallel()
	for class, codes := range map[clickhouse.Class][]int{
		clickhouse.Retry: {159, 202, 203, 209, 210, 236, 241, 242, 243, 285, 999},
		clickhouse.Row:   {6, 26, 27, 38, 41, 53, 72, 117, 321, 349},
		clickhouse.Stop:  {16, 20, 47, 60, 81, 164, 192, 193, 194, 195, 291, 497, 516},
	} {
		for _, code := range codes {
			for name, err := range map[string]error{
				"ch-go":         answer(code, "text"),
				"clickhouse-go": fmt.Errorf("query: %w", &chgo.Exception{Code: int32(code), Message: "text"}),
			} {
				if got := clickhouse.Classify(err); got != class {
					t.Errorf("code %d of %s is of class %s, want %s", code, name, got, class)
				}
				if got := clickhouse.Code(err); int(got) != code {
					t.Errorf("code %d of %s is read as %d", code, name, got)
				}
			}
		}
	}
}

func TestAnErrorOfTheQueryItselfIsToldFromOneThatPasses(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct {
		code int
		want bool
	}{
		"Syntax error: failed at position 262144":                                            {62, true},
		"Illegal type Array(String) of argument of function unhex":                           {43, true},
		"AST is too big. Maximum: 50000":                                                     {168, true},
		"Limit for set exceeded, max bytes":                                                  {191, true},
		"Type mismatch in VALUES section":                                                    {53, true},
		"Query memory limit exceeded: would use 2.00 GiB, maximum: 2.00 GiB":                 {241, true},
		"Memory limit (for query) exceeded: would use 2.00 GiB":                              {241, true},
		"(total) memory limit exceeded: would use 8.00 GiB (attempt to allocate a few bytes": {241, false},
		"User memory limit exceeded: would use 8.00 GiB":                                     {241, false},
		"Too many simultaneous queries":                                                      {202, false},
		"Timeout exceeded":                                                                   {159, false},
		"There is no column s":                                                               {16, false},
		"Keeper is not there":                                                                {999, false},
	} {
		if got := clickhouse.IsOfQuery(answer(c.code, text)); got != c.want {
			t.Errorf("%d %s: %v", c.code, text, got)
		}
	}
	if clickhouse.IsOfQuery(io.ErrUnexpectedEOF) || clickhouse.IsOfQuery(nil) {
		t.Error("errors of the connection are not of a query")
	}
}

func TestErrorsAreClassifiedByWhatWouldHelp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want clickhouse.Class
	}{
		{"too many parts pass by themselves", answer(252, "Too many parts (300 with average size of 1.00 KiB) in table"),
			clickhouse.Retry},
		{"too many partitions of one insert do not", answer(252,
			"Too many partitions for single INSERT block (more than 100)"), clickhouse.Row},
		{"a violated constraint is of a row", answer(469, "Constraint `c` is violated at row 1"), clickhouse.Row},
		{"a killed query is tried again", answer(394, "Query was cancelled"), clickhouse.Retry},
		{"a lost ZooKeeper comes back", answer(225, "no zookeeper"), clickhouse.Retry},
		{"an unknown code is tried a few times", answer(1, "unsupported"), clickhouse.Unknown},
		{"a code that nobody has given yet, too", answer(12345, "?"), clickhouse.Unknown},
		{"a refused connection is the network's", &net.OpError{Op: "dial",
			Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, clickhouse.Retry},
		{"a reset is the network's", os.NewSyscallError("read", syscall.ECONNRESET), clickhouse.Retry},
		{"an unknown host may be known later", &net.DNSError{Err: "no such host", Name: "clickhouse", IsNotFound: true},
			clickhouse.Retry},
		{"an end in mid-packet is the network's", fmt.Errorf("packet: %w", io.ErrUnexpectedEOF), clickhouse.Retry},
		{"a closed connection is the network's", ch.ErrClosed, clickhouse.Retry},
		{"a deadline that passed is slowness", fmt.Errorf("insert: %w", context.DeadlineExceeded), clickhouse.Retry},
		{"a cancelled context ends the work", fmt.Errorf("insert: %w", context.Canceled), clickhouse.Stop},
		{"an answer that came with a cancel counts", errors.Join(answer(241, "memory"), context.Canceled), clickhouse.Retry},
		{"a schema found to be another stops", fmt.Errorf("check: %w", clickhouse.ErrSchema), clickhouse.Stop},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := clickhouse.Classify(c.err); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestWhatStopsSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		err   error
		is    error // nil: none of the errors that Explain returns
		wants []string
	}{
		{"a wrong password", answer(516, "Authentication failed"), clickhouse.ErrCredentials, []string{"password", "516"}},
		{"an unknown user", answer(192, "no user"), clickhouse.ErrCredentials, []string{"user", "192"}},
		{"a missing right", answer(497, "Not enough privileges"), clickhouse.ErrRights, []string{"grant", "497"}},
		{"a read-only user", answer(164, "readonly"), clickhouse.ErrRights, []string{"grant", "164"}},
		{"no answer", fmt.Errorf("dial: %w", io.EOF), clickhouse.ErrUnreachable, []string{"host", "millrace local"}},
		{"an unknown table", answer(60, "no table"), clickhouse.ErrSchema, []string{"millrace migrate", "60"}},
		{"an unknown database", answer(81, "no database"), clickhouse.ErrSchema, []string{"millrace migrate", "81"}},
		{"an unknown column", answer(16, "no column"), clickhouse.ErrSchema, []string{"millrace migrate", "16"}},
		{"an unknown error", answer(12345, "?"), nil, []string{"12345", "ErrorCodes.cpp"}},
		{"a schema found to be another", fmt.Errorf("check: %w", clickhouse.ErrSchema), clickhouse.ErrSchema,
			[]string{"millrace migrate"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := clickhouse.Explain(c.err)
			for _, want := range c.wants {
				if !strings.Contains(got.Error(), want) {
					t.Errorf("%q does not say %q", got, want)
				}
			}
			for _, e := range []error{clickhouse.ErrUnreachable, clickhouse.ErrCredentials, clickhouse.ErrRights,
				clickhouse.ErrSchema} {
				if errors.Is(got, e) != errors.Is(c.is, e) {
					t.Errorf("%q is or is not %q", got, e)
				}
			}
			if clickhouse.Classify(got) != clickhouse.Classify(c.err) || !errors.Is(got, errors.Unwrap(c.err)) {
				t.Errorf("explained, the error is another: %v", got)
			}
		})
	}
}

func TestADSNIsCheckedAndItsPasswordNeverShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, dsn, database string // database "" = refused
	}{
		{"all of it", "clickhouse://u:canary@host:9000/db?secure=true", "db"},
		{"no database is millrace", "clickhouse://host:9000", clickhouse.DefaultDatabase},
		{"http is refused", "http://u:canary@host:8123/db", ""},
		{"https is refused", "https://u:canary@host:8443/db", ""},
		{"a parameter that cannot be read", "clickhouse://u:canary@host:9000/db?dial_timeout=soon", ""},
		{"no data source name at all", "://canary", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn, err := clickhouse.ParseDSN(c.dsn)
			if c.database == "" {
				if err == nil || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || dsn.Database != c.database {
				t.Errorf("got %v, %v", dsn, err)
			}
		})
	}
}
