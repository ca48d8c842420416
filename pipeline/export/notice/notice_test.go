package notice

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/schemas/events/eventstest"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func TestNoticesAreSentEveryTenSecondsAnExport(t *testing.T) {
	t.Parallel()
	now := day
	var sent []*kgo.Record
	r := newReporter("p.", export.StageExtract, func() time.Time { return now })
	r.send = func(record *kgo.Record) { sent = append(sent, record) }
	a, b := Subject{ID: export.ID{WorkspaceID: "acme", ExportID: "a"}}, Subject{ID: export.ID{WorkspaceID: "acme",
		ExportID: "b"}}
	denied := errors.New("create object x:\n permission denied")
	for attempt := 1; attempt <= 25; attempt++ { // one a second
		r.Tell(a, export.StoreFailed, kafka.Failure{Err: denied, Since: day, Attempts: attempt})
		if attempt%5 == 0 {
			r.Tell(b, export.StoreFailed, kafka.Failure{Err: denied, Since: day, Attempts: attempt})
		}
		now = now.Add(time.Second)
	}
	var got []string
	for _, record := range sent {
		eventstest.Validate(t, export.TypeProgressed, record.Value)
		var p export.Progress
		if err := json.Unmarshal(record.Value, &p); err != nil {
			t.Fatal(err)
		}
		x := p.Retrying
		if record.Topic != "p.export-progress" || !p.Partial || x.Stage != "extract" || x.Code != "store_failed" ||
			!strings.Contains(x.Message, "create object x: permission denied") || !x.Since.Equal(day) ||
			!x.At.Equal(day.Add(time.Duration(x.Attempts-1)*time.Second)) {
			t.Errorf("%s: %+v %+v", record.Value, p, x)
		}
		got = append(got, p.ExportID+" "+x.At.Format("05"))
	}
	if text := strings.Join(got, ", "); text != "a 00, b 04, a 10, b 14, a 20, b 24" {
		t.Errorf("sent %s", text)
	}
	if n := r.count(); n != 2 {
		t.Errorf("%d exports are retried", n)
	}
	now = now.Add(time.Minute)
	if n := r.count(); n != 0 {
		t.Errorf("after a minute %d exports are retried", n)
	}
}

func TestTextsOfClickHouseAreNotTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{&ch.Exception{Code: 241, Message: "secret row"}, "ClickHouse fails with error 241, and is tried again"},
		{errors.New("dial: secret"), "ClickHouse does not answer, and is tried again"},
	} {
		if got := explain(export.ReadFailed, c.err); got != c.want {
			t.Errorf("%q", got)
		}
	}
	if got := explain(export.StoreFailed, errors.New(strings.Repeat("é", 1000))); len(got) > maxCause+100 {
		t.Errorf("%d bytes", len(got))
	}
}
