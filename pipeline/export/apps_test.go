package export_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
)

// A request without app_id, or with several, means what its copy in a plan means.
func TestAppsOfARequestStayTheSameInItsPlan(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"app_id":"a"`: `"app_id":"a"`, `"app_id":["b","a","b"]`: `"app_id":["a","b"]`, `"app_id":["a"]`: `"app_id":"a"`,
		`"app_id":null`: "",
	} {
		r, err := export.ParseRequest([]byte(with(fields)))
		if err != nil {
			t.Errorf("%s: %v", fields, err)
			continue
		}
		stored, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(stored), want) ||
			strings.Contains(string(stored), "app_id") != (want != "") {
			t.Errorf("%s: stored as %s, %v", fields, stored, err)
		}
		var again export.Request
		if err := json.Unmarshal(stored, &again); err != nil || !slices.Equal(again.AppID, r.AppID) {
			t.Errorf("%s: %v after a plan, %v", fields, again.AppID, err)
		}
	}
}
