package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// listExports reads a page of exports.
func listExports(t *testing.T, s e2etest.Endpoint, query string) (ids []string, page object) {
	t.Helper()
	page = s.Get(t, "/v1/exports?"+query).Want(t, http.StatusOK).Object(t)
	for _, x := range page["exports"].([]any) {
		ids = append(ids, x.(object)["export_id"].(string))
	}
	return ids, page
}

// While a reader pages, exports are filed, begin and end: what was there when it began is there
// once.
func pagesNeitherRepeatNorSkip(t *testing.T, p *places) {
	servers := []e2etest.Endpoint{p.a.In("pages"), p.b.In("pages")}
	var filed []string
	for i := range 23 {
		filed = append(filed, servers[i%2].File(t, ofA(object{"name": fmt.Sprint(i)})))
	}
	var seen []string
	cursor, pages, later := "", 0, map[string]bool{}
	for {
		ids, page := listExports(t, servers[pages%2], "limit=5&cursor="+url.QueryEscape(cursor))
		seen = append(seen, ids...)
		later[servers[pages%2].File(t, ofA(object{"name": "later"}))] = true
		pages++
		next, more := page["next"].(string)
		if !more {
			break
		}
		if len(ids) == 0 || len(ids) > 5 {
			t.Errorf("page %d has %d exports", pages, len(ids))
		}
		cursor = next
	}
	slices.Reverse(filed) // newest first; ids are as old as their exports, to the millisecond
	if !slices.Equal(seen, filed) {
		sorted := slices.Sorted(slices.Values(seen))
		if !slices.Equal(sorted, slices.Sorted(slices.Values(filed))) {
			t.Errorf("listed are\n%s\nfiled were\n%s", strings.Join(seen, "\n"), strings.Join(filed, "\n"))
		}
		if !slices.IsSortedFunc(seen, func(a, b string) int { return strings.Compare(b[:13], a[:13]) }) {
			t.Errorf("not newest first: %s", strings.Join(seen, "\n"))
		}
	}
	for id := range later {
		if slices.Contains(seen, id) {
			t.Errorf("%s was filed after the first page, and is on a later one", id)
		}
	}
	for _, bad := range []string{"x", "e30", cursor + "A", cursor[:len(cursor)-2], strings.ToLower(cursor),
		"eyJ0IjoxLCJpZCI6Ii4uLyJ9", "' OR 1=1"} {
		servers[0].Get(t, "/v1/exports?cursor="+url.QueryEscape(bad)).Problem(t, http.StatusUnprocessableEntity, "cursor")
	}
	servers[0].Get(t, "/v1/exports?cursor="+strings.Repeat("x", 600)).Problem(t, http.StatusUnprocessableEntity, "cursor")
}

func listsAreFiltered(t *testing.T, p *places) {
	s := p.b.In("listed")
	a := s.File(t, ofA(nil))
	b := s.File(t, ofA(object{"app_id": []string{"b", "d"}}))
	r := s.File(t, ofA(object{"source": "recipe", "purpose": "recipe_evaluation"}))
	for _, id := range []string{a, b, r} {
		s.WaitFor(t, id, "succeeded")
	}
	x := p.still.In("listed") // the same tables: those of a are in ClickHouse, this one is in its topics alone
	c := x.File(t, ofA(object{"app_id": []string{"d", "b"}}))
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM exports WHERE workspace_id = 'listed' AND status = 'succeeded'": 3})
	for query, want := range map[string][]string{
		"":               {c, r, b, a},
		"source=copilot": {c, b, a}, "source=recipe": {r}, "app_id=a": {r, a}, "app_id=b": {c, b},
		"app_id=d": {c, b}, "app_id=zz": nil,
		"purpose=recipe_evaluation": {r}, "status=accepted": {c}, "status=succeeded": {r, b, a},
		"status=accepted,succeeded&app_id=b": {c, b},
		"status=failed":                      nil, "limit=2": {c, r}, "limit=1&status=succeeded&source=copilot": {b},
	} {
		if ids, _ := listExports(t, x, query); !slices.Equal(ids, want) {
			t.Errorf("?%s: %v, want %v", query, ids, want)
		}
	}
	for query, parameter := range map[string]string{
		"source=robot": "source", "purpose=x": "purpose", "status=done": "status", "limit=0": "limit", "limit=201": "limit",
		"limit=many": "limit",
		"app_id=a/b": "app_id", "colour=red": "colour",
	} {
		got := x.Get(t, "/v1/exports?"+query)
		if p := got.Problem(t, http.StatusUnprocessableEntity); !strings.Contains(fmt.Sprint(p["errors"]), parameter) {
			t.Errorf("?%s: %s", query, got.Body)
		}
	}
}

// row is a row of the view exports, as ClickHouse writes it in JSON.
func row(t *testing.T, s *e2etest.Site, id string) object {
	t.Helper()
	database := s.DSN[strings.LastIndex(s.DSN, "/")+1:]
	query := url.Values{
		"database": {database}, "output_format_json_quote_64bit_integers": {"0"}, "date_time_output_format": {"iso"},
		"query": {"SELECT * FROM exports WHERE export_id = {id:String} FORMAT JSONEachRow"}, "param_id": {id},
	}
	resp, err := http.Get(localtest.ClickHouse(t).HTTPURL + "/?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
		t.Fatalf("%s: %s %v", resp.Status, body, err)
	}
	return e2etest.ParseObject(t, string(body))
}

// alike makes values comparable that the view and HTTP write in different ways: times, booleans and
// embedded JSON.
func alike(value any) any {
	switch v := value.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
		if list := []any{}; strings.HasPrefix(v, "[") && json.Unmarshal([]byte(v), &list) == nil {
			return alike(list)
		}
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, alike(e))
		}
		return out
	case object:
		out := object{}
		for k, e := range v {
			out[k] = alike(e)
		}
		return out
	}
	return value
}

func exportsHaveTheFieldsOfTheView(t *testing.T, p *places) {
	s := p.a.In("acme")
	missing := ofA(object{"name": "with a warning", "requested_by": "me@acme.example",
		"selection": object{"run_ids": []string{"r-000", "r-001", "nope"}}})
	nodes := object{"purpose": "node_evaluation", "source": "recipe", "app_id": "r", "nodes": []string{"solve"},
		"selection": object{"limit": 5}}
	for _, request := range []object{missing, nodes, ofA(object{"purpose": "fine_tuning"})} {
		id := s.File(t, request)
		s.WaitFor(t, id, "succeeded")
		e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
			"SELECT count() FROM exports WHERE status = 'succeeded' AND export_id = '" + id + "'": 1})
		want := row(t, p.Site, id)
		for name, at := range map[string]e2etest.Endpoint{"here": s, "there": p.b, "where only ClickHouse has it": p.still} {
			got := at.Get(t, "/v1/exports/"+id).Want(t, http.StatusOK).Object(t)
			for key := range want {
				if strings.HasPrefix(key, "retrying_") { // in the API an object, while something is tried again
					continue
				}
				if _, there := got[key]; !there {
					t.Errorf("%s: the export lacks %s", name, key)
				}
			}
			if at.URL == p.still.URL { // its bucket has no manifest, which they come from
				if got["load_with"] != "" {
					t.Errorf("%s: load_with is %v", name, got["load_with"])
				}
				got["load_with"], got["manifest_uri"] = want["load_with"], want["manifest_uri"]
			}
			for key, value := range got {
				if w, there := want[key]; !there || !reflect.DeepEqual(alike(value), alike(w)) {
					t.Errorf("%s: %s is %v, the view has %v", name, key, value, w)
				}
			}
		}
	}
	for _, path := range []string{"/v1/exports/nope", "/v1/exports/00000000-0000-7000-8000-000000000000"} {
		s.Get(t, path).Problem(t, http.StatusNotFound)
	}
	s.Get(t, "/v1/exports/.hidden").Problem(t, http.StatusUnprocessableEntity, "id")
	s.Get(t, "/v1/exports/"+strings.Repeat("x", 129)).Problem(t, http.StatusUnprocessableEntity, "id")
}
