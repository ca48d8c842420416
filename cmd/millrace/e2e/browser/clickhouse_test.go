package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// A page of another site runs in the browser of somebody who develops with the embedded ClickHouse.
// Even if the page knows the password, it neither runs a query nor reads an answer.
func TestAPageOfAnotherSiteCannotUseTheEmbeddedClickHouse(t *testing.T) {
	t.Parallel()
	server := localtest.ClickHouse(t)
	database := server.Database(t)
	conn := e2etest.Connect(t, server.DSN(database))
	if err := conn.Exec(t.Context(), "CREATE TABLE t (way String) ENGINE = MergeTree ORDER BY way"); err != nil {
		t.Fatal(err)
	}
	clickHouse, err := url.Parse(server.HTTPURL)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := clickHouse.User.Password()
	query := func(host, sql string) string {
		parameters := url.Values{"user": {clickHouse.User.Username()}, "password": {password}, "database": {database},
			"query": {sql}}
		return "http://" + host + ":" + clickHouse.Port() + "/?" + parameters.Encode()
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>A page</title>")
	}))
	t.Cleanup(site.Close)

	b := &tab{T: t, ctx: chromium(t), url: site.URL}
	b.open("/")
	for way, script := range map[string]string{
		"fetch": `fetch(%q, {method: 'POST', mode: 'no-cors', body: ''}).then(() => 'sent')`,
		"image": `new Promise(done => { const i = new Image(); i.onload = i.onerror = () => done('sent'); i.src = %q })`,
		"form": `new Promise(done => {
			document.body.innerHTML = '<iframe name=f></iframe><form method=post target=f></form>'
			const form = document.querySelector('form')
			document.querySelector('iframe').onload = () => done('sent')
			form.action = %q
			form.submit() })`,
	} {
		insert := query("127.0.0.1", "INSERT INTO t SELECT '"+way+"'")
		if got := evaluate[string](b, fmt.Sprintf(script, insert)); got != "sent" {
			t.Errorf("%s: %s", way, got)
		}
	}
	if n := e2etest.Count(t, conn, "SELECT count() FROM t"); n != 0 {
		t.Errorf("the page has written %d rows", n)
	}
	for host, want := range map[string]string{
		"evil.localhost": "refuses", // as a name of an attacker's that is resolved to this machine
		"localhost":      "40 and 2",
	} {
		b.do(chromedp.Navigate(query(host, "SELECT '40 and 2' FORMAT JSON")))
		if text := evaluate[string](b, "document.body.innerText"); !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %s", host, text, want)
		}
	}
}
