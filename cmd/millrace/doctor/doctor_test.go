package doctor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
)

func TestClocksAreComparedWithTheTimeOfTheQuestion(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	after := before.Add(time.Second)
	for theirs, want := range map[time.Duration]struct {
		severity Severity
		text     string
	}{
		0: {OK, "is that of this machine"}, time.Second: {OK, "is that of this machine"},
		3 * time.Second: {OK, "is that of this machine"}, -2 * time.Second: {OK, "is that of this machine"},
		4 * time.Second: {Warning, "is 3s ahead of"}, -3 * time.Second: {Warning, "is 3s behind"},
		40 * time.Second: {Error, "is 39s ahead of"}, -40 * time.Second: {Error, "is 40s behind"},
	} {
		e := &examination{}
		e.clock("it", before.Add(theirs), before, after)
		if f := e.findings[0]; f.Severity != want.severity || !strings.Contains(f.Message, want.text) {
			t.Errorf("%s: %+v", theirs, f)
		}
	}
}

func TestReplicasThatAreBehindOrAloneAreWrong(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]replica{
		"":                       {total: 2, active: 2, delay: 60},
		"refuses inserts":        {total: 2, active: 2, readonly: true},
		"no connection":          {total: 2, active: 2, expired: true},
		"1 of 2 replicas":        {total: 2, active: 1},
		"61 s behind, with 7 en": {total: 2, active: 2, delay: 61, queue: 7},
	} {
		if got := r.wrong(); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

func TestOldVersionsOfClickHouseAreWarnedOf(t *testing.T) {
	t.Parallel()
	dsn, err := clickhouse.ParseDSN("clickhouse://127.0.0.1:9000/millrace")
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]Severity{"26.7.3.1": OK, "26.8.1.2": OK, "27.1.1.1": OK, "26.6.9.9": Warning,
		"25.12.1.1": Warning, "custom": Note} {
		e := &examination{App: &app.App{Config: &app.Config{DSN: dsn}}}
		e.version(version)
		if got := e.findings[0].Severity; got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

// passes is a barrier that returns what it is made of.
type passes struct {
	pins []ch.Setting
	err  error
}

func (p passes) Pass(context.Context, []string) ([]ch.Setting, error) { return p.pins, p.err }

func TestABarrierThatExportsCannotPassIsNamed(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	fence := ch.Setting{Key: "additional_table_filters", Important: true,
		Value: `{'runs':'CAST(\'elsewhere\', \'Enum8(\\\'here\\\')\') IS NOT NULL'}`}
	for want, barrier := range map[string]passes{
		"caught up, after":          {},
		"shard 1: it lags":          {err: fmt.Errorf("%w: shard 1: it lags", clickhouse.ErrBehind)},
		"the replicas of ClickHous": {pins: []ch.Setting{fence}},
	} {
		e := &examination{App: &app.App{Config: &app.Config{DSN: dsn.Behind(barrier)}}}
		e.barrier(t.Context())
		f := e.findings[0]
		good := barrier.err == nil && barrier.pins == nil
		if !strings.Contains(f.Message, want) || (f.Severity == OK) != good {
			t.Errorf("%+v, want %q", f, want)
		}
	}
}
