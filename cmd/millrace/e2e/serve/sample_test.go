package serve

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// An empty page of the local stack offers sample data, and loads it.
func TestSampleDataIsLoadedOnTheLocalStack(t *testing.T) {
	t.Parallel()
	local, _ := e2etest.StartLocal(t)
	api := e2etest.Endpoint{URL: local.Field(t, "pages")}.In("fresh")
	page := func() string { return string(api.Get(t, "/recipes").Want(t, http.StatusOK).Body) }
	if text := page(); !strings.Contains(text, `data-testid="load-sample"`) || !strings.Contains(text, "No recipes") {
		t.Fatal("the empty page does not offer sample data")
	}
	api.Call(t, http.MethodPost, "/sample", "")
	if text := page(); !strings.Contains(text, `data-testid="app-row"`) {
		t.Error("there is no recipe after sample data was loaded")
	}
}
