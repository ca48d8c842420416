package grafanatest

import (
	"strings"
	"testing"
	"time"
)

func TestMacrosAndVariablesAreFilledInAsGrafanaDoes(t *testing.T) {
	s := Scope{From: time.Unix(1000, 0), To: time.Unix(4600, 0), Step: 20 * time.Second, Scrape: 15 * time.Second,
		Values: map[string][]string{"app": {"a", "it's, (b)"}, "instance": {"10.0.0.1:9464", "x"}}}
	for _, c := range []struct{ query, want string }{
		{"$__timeFilter(c)", "c >= toDateTime(1000) AND c <= toDateTime(4600)"},
		{"$__timeInterval(c)", "toStartOfInterval(toDateTime(c), INTERVAL 20 second)"},
		{"f($__timeInterval(g(c)), 1)", "f(toStartOfInterval(toDateTime(g(c)), INTERVAL 20 second), 1)"},
		{"$__conditionalAll(app IN (${app:singlequote}), $app) AND x", `app IN ('a','it\'s, (b)') AND x`},
		{"$__conditionalAll((v IN (${version:singlequote}) OR f(a, b)), $version)", "1=1"},
		{"$__fromTime + $__toTime", "toDateTime(1000) + toDateTime(4600)"},
	} {
		if got, err := s.SQL(c.query); err != nil || got != c.want {
			t.Errorf("%s became %q (%v), want %q", c.query, got, err, c.want)
		}
	}
	for _, query := range []string{"$app", "$__timeFilter(a, b)", "$__conditionalAll(a, b, $app)", "$__unknown(c)"} {
		if got, err := s.SQL(query); err == nil {
			t.Errorf("%s became %q", query, got)
		}
	}
	got, err := s.PromQL(`increase(x{instance=~"$instance"}[$__rate_interval]) / rate(x[$__range])`)
	want := `increase(x{instance=~"(10\\.0\\.0\\.1:9464|x)"}[1m0s]) / rate(x[1h0m0s])`
	if err != nil || got != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
	if _, err := s.PromQL(`x{role="$role"}`); err == nil || !strings.Contains(err.Error(), "$role") {
		t.Errorf("a variable is left: %v", err)
	}
}
