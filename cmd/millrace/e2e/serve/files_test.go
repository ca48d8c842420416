package serve

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/sinks/bucket/buckettest"
)

// keys are those of the data files of a manifest.
func keys(t *testing.T, manifest object) (list []string) {
	t.Helper()
	for _, f := range manifest["files"].([]any) {
		if f := f.(object); f["kind"] == "data" {
			list = append(list, f["key"].(string))
		}
	}
	if len(list) == 0 {
		t.Fatalf("the manifest has no data: %v", manifest)
	}
	return list
}

// readManifest returns the manifest of an export.
func readManifest(t *testing.T, s e2etest.Endpoint, id string) object {
	t.Helper()
	return s.Get(t, "/v1/exports/"+id+"/files/manifest.json").Want(t, http.StatusOK).Object(t)
}

func sha256Of(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func previewsAreJSON(t *testing.T, p *places) {
	for format, compression := range map[string]string{"jsonl": "gzip", "json": "none", "csv": "zstd", "parquet": "zstd"} {
		id := p.a.File(t, ofA(object{"format": format, "compression": compression}))
		p.a.WaitFor(t, id, "succeeded")
		for query, n := range map[string]int{"": 20, "?n=1": 1, "?n=200": 200, "?n=7&split=train": 7} {
			got := p.b.Get(t, "/v1/exports/"+id+"/preview"+query).Want(t, http.StatusOK).Object(t)
			records := got["records"].([]any)
			if len(records) != n || fmt.Sprint(got["total"]) != "320" || got["format"] != format || got["export_id"] != id ||
				got["target"] != "canonical" {
				t.Errorf("%s: %d records of %v", format, len(records), got["total"])
			}
			if r := records[0].(object); r["run_id"] != "r-000" || r["question"] != "say \"0\"\nمرحبا" {
				t.Errorf("%s: the first record is %v", format, r)
			}
		}
		all := p.a.Get(t, "/v1/exports/"+id+"/preview?n=200").Object(t)["records"].([]any)
		page := p.a.Get(t, "/v1/exports/"+id+"/preview?after=190&n=20").Want(t, http.StatusOK).Object(t)["records"].([]any)
		if len(page) != 20 || !reflect.DeepEqual(page[:10], all[190:]) {
			t.Errorf("%s: the records after 190 are %d, and not those that come then", format, len(page))
		}
		if got := p.a.Get(t, "/v1/exports/"+id+"/preview?after=320").Object(t)["records"].([]any); len(got) != 0 {
			t.Errorf("%s: %d records after the last one", format, len(got))
		}
		for _, query := range []string{"n=0", "n=201", "n=x", "m=1", "after=-1", "split=nope"} {
			parameter, _, _ := strings.Cut(query, "=")
			p.a.Get(t, "/v1/exports/"+id+"/preview?"+query).Problem(t, http.StatusUnprocessableEntity, parameter)
		}
	}
	p.a.Get(t, "/v1/exports/nope/preview").Problem(t, http.StatusNotFound)
	none := p.a.In("nothing").File(t, ofA(nil))
	p.a.In("nothing").WaitFor(t, none, "succeeded")
	if got := p.a.In("nothing").Get(t, "/v1/exports/"+none+"/preview").Want(t, http.StatusOK).
		Object(t); fmt.Sprint(got["records"], " ", got["total"]) != "[] 0" {
		t.Errorf("the preview of nothing is %v", got)
	}
}

func filesHaveRangesAndTags(t *testing.T, p *places) {
	id := p.a.File(t, ofA(nil))
	p.a.WaitFor(t, id, "succeeded")
	file := readManifest(t, p.a, id)["files"].([]any)[0].(object)
	path := "/v1/exports/" + id + "/files/" + file["key"].(string)
	whole := p.b.Get(t, path).Want(t, http.StatusOK)
	tag := whole.Header.Get("ETag")
	if tag != fmt.Sprintf("%q", file["sha256"]) || sha256Of(whole.Body) != file["sha256"] ||
		fmt.Sprint(file["bytes"]) != fmt.Sprint(len(whole.Body)) {
		t.Errorf("the file is tagged %s, has %d bytes and SHA-256 %s; the manifest says %v", tag, len(whole.Body),
			sha256Of(whole.Body), file)
	}
	if whole.Header.Get("Accept-Ranges") != "bytes" || !strings.HasPrefix(whole.Header.Get("Content-Disposition"),
		"attachment; filename=") {
		t.Errorf("headers %v", whole.Header)
	}
	size := len(whole.Body)
	for header, want := range map[string]string{
		"bytes=0-0": "0-0", "bytes=100-299": "100-299", "bytes=-7": fmt.Sprintf("%d-%d", size-7, size-1),
		fmt.Sprintf("bytes=%d-", size-5): fmt.Sprintf("%d-%d", size-5, size-1), "bytes=5-99999999": fmt.Sprintf("5-%d",
			size-1),
	} {
		got := p.a.Get(t, path, "Range: "+header).Want(t, http.StatusPartialContent)
		var from, to int
		fmt.Sscanf(want, "%d-%d", &from, &to)
		if !bytes.Equal(got.Body, whole.Body[from:to+1]) || got.Header.Get("Content-Range") != fmt.Sprintf("bytes %s/%d",
			want, size) {
			t.Errorf("%s: %d bytes, %s", header, len(got.Body), got.Header.Get("Content-Range"))
		}
	}
	if got := p.a.Get(t, path, fmt.Sprintf("Range: bytes=%d-", size)).Want(t,
		http.StatusRequestedRangeNotSatisfiable); got.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
		t.Errorf("behind the end: %v", got.Header)
	}
	checkMultiRange(t, p.a.Get(t, path, "Range: bytes=0-9,100-109,-5").Want(t, http.StatusPartialContent), whole.Body)
	for header, status := range map[string]int{
		"If-Range: " + tag: 206, `If-Range: "another"`: 200, "If-None-Match: " + tag: 304, `If-None-Match: "another"`: 206,
		"If-None-Match: *": 304,
		"If-Match: " + tag: 206, `If-Match: "another"`: 412,
	} {
		got := p.a.Get(t, path, "Range: bytes=0-9", header).Want(t, status)
		if want := map[int]int{200: size, 206: 10, 304: 0}[status]; status != 412 && len(got.Body) != want {
			t.Errorf("%s: %d bytes, want %d", header, len(got.Body), want)
		}
	}
	head := p.a.Call(t, "HEAD", path, nil).Want(t, http.StatusOK)
	if head.Header.Get("Content-Length") != fmt.Sprint(size) || head.Header.Get("ETag") != tag || len(head.Body) > 0 {
		t.Errorf("HEAD: %v", head.Header)
	}
}

func checkMultiRange(t *testing.T, got *e2etest.Answer, whole []byte) {
	t.Helper()
	media, parameters, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || media != "multipart/byteranges" {
		t.Fatalf("several ranges are %s", media)
	}
	parts := multipart.NewReader(bytes.NewReader(got.Body), parameters["boundary"])
	for _, want := range [][]byte{whole[:10], whole[100:110], whole[len(whole)-5:]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(part); err != nil || !bytes.Equal(body, want) {
			t.Errorf("a part is %q, want %q", body, want)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the parts: %v", err)
	}
}

func filesAreListed(t *testing.T, p *places) {
	id, other := p.a.File(t, ofA(nil)), p.a.File(t, ofA(nil))
	p.a.WaitFor(t, id, "succeeded")
	p.a.WaitFor(t, other, "succeeded")
	key := keys(t, readManifest(t, p.a, id))[0]
	foreign := keys(t, readManifest(t, p.a, other))[0]
	for _, bad := range []string{
		"nope", "data/", "data", "plan.json", "windows/00000.json", foreign, "data/../" + key, "..%2f" + other + "%2f" +
			foreign, "..%2F..%2F..%2Fserver%2Furl-signing-key",
		"%2e%2e/" + other + "/manifest.json", "..%5c" + foreign, "/" + key, "%2f" + key, key + "%00", key + "/",
		strings.ToUpper(key), "data%2f%2e%2e%2f" + key,
	} {
		got := p.a.Get(t, "/v1/exports/"+id+"/files/"+bad)
		// net/http cleans a path; what it names is looked for
		if to := got.Header.Get("Location"); got.Status/100 == 3 && strings.HasPrefix(to, "/v1/") {
			got = p.a.Get(t, to)
		}
		if got.Status == http.StatusOK && got.Header.Get("ETag") == fmt.Sprintf("%q", sha256Of(got.Body)) &&
			strings.HasSuffix(bad, key) {
			continue // a path that was cleaned to that of the file
		}
		if got.Status == http.StatusOK && strings.HasSuffix(bad, other+"/manifest.json") {
			continue // the same, to another export's, whose manifest the caller may have
		}
		got.Problem(t, http.StatusNotFound)
	}
	p.a.Get(t, "/v1/exports/"+id+"/files/"+strings.Repeat("x", 1100)).Problem(t, http.StatusUnprocessableEntity, "key")
	p.a.Get(t, "/v1/exports/nope/files/"+key).Problem(t, http.StatusNotFound)
	p.a.In("other").Get(t, "/v1/exports/"+id+"/files/"+key).Problem(t, http.StatusNotFound)
	encoded := p.a.Get(t, "/v1/exports/"+id+"/files/"+strings.ReplaceAll(key, "/", "%2F")).Want(t, http.StatusOK)
	if sha256Of(encoded.Body) != sha256Of(p.a.Get(t, "/v1/exports/"+id+"/files/"+key).Body) {
		t.Error("a key whose slash is encoded is another file")
	}
}

func filesOnS3(t *testing.T, p *places) {
	url, _ := buckettest.S3(t) // the credentials are in this process's environment, which others inherit
	there := p.Elsewhere(t, "s3.", url)
	there.Env.Start(t, "export")
	s := e2etest.Endpoint{URL: e2etest.WaitReady(t, there.Env.Start(t, "serve")), Check: p.doc.check}
	id := s.File(t, ofA(nil))
	s.WaitFor(t, id, "succeeded")
	manifest := readManifest(t, s, id)
	for _, f := range manifest["files"].([]any) {
		f := f.(object)
		to := s.Get(t, "/v1/exports/"+id+"/files/"+f["key"].(string)).Want(t, http.StatusSeeOther).Header.Get("Location")
		if body := content(t, to); sha256Of(body) != f["sha256"] {
			t.Errorf("%s at %s is %.100s", f["key"], to, body)
		}
	}
	s.Get(t, "/v1/exports/"+id+"/files/nope").Problem(t, http.StatusNotFound)
	if got := s.Call(t, "HEAD", "/v1/exports/"+id+"/files/"+keys(t, manifest)[0], nil); got.Status != http.StatusOK &&
		got.Status != http.StatusSeeOther {
		t.Errorf("HEAD: %d", got.Status)
	}
	if got := s.Get(t, "/v1/exports/"+id+"/preview").Want(t, http.StatusOK).Object(t); fmt.Sprint(got["total"]) != "320" {
		t.Errorf("the preview is %v", got)
	}
	checkZip(t, s.Get(t, "/v1/exports/"+id+"/download").Want(t, http.StatusOK), manifest)
	job := s.Call(t, "POST", "/api/public/bot/bot/search/analytics-export",
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"}}`).Want(t, http.StatusOK).Object(t)["_id"].(string)
	done := waitForJob(t, s, "bot", job)
	var records []any
	e2etest.Decode(t, content(t, done["fileInfo"].(object)["fileUrl"].(string)), &records)
	if len(records) != 150 {
		t.Errorf("the file of an analytics export has %d records", len(records))
	}
	s.Call(t, "DELETE", "/v1/exports/"+id, nil).Want(t, http.StatusNoContent)
	s.Get(t, "/v1/exports/"+id+"/files/"+keys(t, manifest)[0]).Problem(t, http.StatusGone)
}

// content gets a URL as anybody would, without headers.
func content(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v %.500s", url, resp.Status, err, body)
	}
	return body
}

// checkZip holds a download against the manifest.
func checkZip(t *testing.T, got *e2etest.Answer, manifest object) {
	t.Helper()
	if got.Header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(got.Header.Get("Content-Disposition"),
		"attachment; filename=") {
		t.Errorf("headers %v", got.Header)
	}
	archive, err := zip.NewReader(bytes.NewReader(got.Body), int64(len(got.Body)))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		found[f.Name] = fmt.Sprint(len(body), " ", sha256Of(body))
		if f.Name == "manifest.json" {
			found[f.Name] = fmt.Sprint(e2etest.ParseObject(t, string(body)))
		}
	}
	files := manifest["files"].([]any)
	for _, f := range files {
		f := f.(object)
		if want := fmt.Sprint(f["bytes"], " ", f["sha256"]); found[f["key"].(string)] != want {
			t.Errorf("%s is %s, the manifest says %s", f["key"], found[f["key"].(string)], want)
		}
	}
	if len(found) != len(files)+1 || found["manifest.json"] != fmt.Sprint(manifest) {
		t.Errorf("the zip has %d entries of %d", len(found), len(files)+1)
	}
}

func downloadsAreWhole(t *testing.T, p *places) {
	for _, request := range []object{
		ofA(object{"name": `a "name"/../with 日本`, "split": object{"test": 0.3}}), ofA(object{"format": "parquet"}),
		ofA(object{"purpose": "fine_tuning", "compression": "gzip"}),
	} {
		id := p.a.File(t, request)
		p.a.WaitFor(t, id, "succeeded")
		got := p.b.Get(t, "/v1/exports/"+id+"/download").Want(t, http.StatusOK)
		checkZip(t, got, readManifest(t, p.a, id))
		_, parameters, err := mime.ParseMediaType(got.Header.Get("Content-Disposition"))
		if name := parameters["filename"]; err != nil || !strings.HasSuffix(name, id+".zip") ||
			strings.ContainsAny(name, `/"\`) {
			t.Errorf("the file's name is %q", name)
		}
	}
	p.a.Get(t, "/v1/exports/nope/download").Problem(t, http.StatusNotFound)
}

// What was damaged on the disk must not look whole to who downloads it.
func damagedDownloadsAreCut(t *testing.T, p *places) {
	for name, spoil := range map[string]func(path string, body []byte) error{
		"a byte is another": func(path string, body []byte) error {
			body[len(body)/2] ^= 1
			return e2etest.ReplaceFile(path, body)
		},
		"the end is missing": func(path string, body []byte) error { return e2etest.ReplaceFile(path, body[:len(body)-1]) },
		"it is gone":         func(path string, _ []byte) error { return os.Remove(path) },
	} {
		id := p.a.File(t, ofA(nil))
		p.a.WaitFor(t, id, "succeeded")
		data := keys(t, readManifest(t, p.a, id))
		path := filepath.Join(p.ExportFolder(t, "acme", id), filepath.FromSlash(data[len(data)-1]))
		body, err := os.ReadFile(path)
		if err == nil {
			err = spoil(path, slices.Clone(body))
		}
		if err != nil {
			t.Fatal(err)
		}
		got := p.a.Get(t, "/v1/exports/"+id+"/download")
		if _, err := zip.NewReader(bytes.NewReader(got.Body), int64(len(got.Body))); got.Err == nil &&
			got.Status == http.StatusOK || err == nil {
			t.Errorf("%s: the answer is %d and ends well: %v, %v", name, got.Status, got.Err, err)
		}
	}
}
