package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/event"
)

func TestRefusedCallsAreToldOnceAMinuteForEachAddress(t *testing.T) {
	t.Parallel()
	var r Refusals
	now := time.Now()
	for range 1000 {
		r.Count("192.0.2.7", now)
	}
	if n := r.Count("192.0.2.7", now.Add(59*time.Second)); n != 0 {
		t.Errorf("%d refusals are told before the minute is over", n)
	}
	if n := r.Count("192.0.2.7", now.Add(time.Minute)); n != 1001 { // without the first, which was told
		t.Errorf("%d refusals are told, of 1,001", n)
	}
	if r.Count("2001:db8::1", now) != 1 || r.Count("2001:db8::2", now) != 0 || r.Count("2001:db8:0:1::1", now) != 1 {
		t.Error("addresses of a network of IPv6 are told apart, or its neighbours are not")
	}
}

func TestWhoHasAllAddressesCannotFloodTheTrail(t *testing.T) {
	t.Parallel()
	var r Refusals
	now, told := time.Now(), uint64(0)
	for i := range 3 * maxAddresses {
		told += min(1, r.Count(fmt.Sprint("address ", i), now))
	}
	if told != maxAddresses+1 || len(r.addresses) != maxAddresses+1 {
		t.Errorf("%d entries of %d addresses", told, len(r.addresses))
	}
	if n := r.Count("a late one", now.Add(refusedEvery)); n != 1 || len(r.addresses) > maxAddresses {
		t.Errorf("a minute later there are %d addresses, and a new one is told as %d", len(r.addresses), n)
	}
}

func TestLongNamesAreCutAndEntriesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	e := Entry{At: time.Now(), WorkspaceID: "acme", Subject: strings.Repeat("ü", 1<<20), Action: Viewed, Outcome: OK,
		ExportID: "e1", Via: "serve"}
	r := e.Record("millrace.", "millrace/serve")
	if len(r.Value) > 1000 || len(r.Key) > 300 || r.Topic != "millrace.audit" {
		t.Errorf("the record has %d bytes and key %.50s of topic %s", len(r.Value), r.Key, r.Topic)
	}
	decoded, err := event.Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(&decoded)
	if err != nil {
		t.Fatal(err)
	}
	e.Subject, e.At, e.Count, e.ID = strings.Repeat("ü", maxText/2), e.At.UTC().Truncate(time.Microsecond), 1, got.ID
	if *got != e || got.ID == "" {
		t.Errorf("%+v, want %+v", got, e)
	}
}
