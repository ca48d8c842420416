package e2e

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
	"slices"
	"strings"
	"testing"

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

// manifest returns the manifest of an export.
func (s endpoint) manifest(t *testing.T, id string) object {
	t.Helper()
	return s.get(t, "/v1/exports/"+id+"/files/manifest.json").is(t, http.StatusOK).object(t)
}

func sha256Of(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func previewsAreJSON(t *testing.T, p *places) {
	for format, compression := range map[string]string{"jsonl": "gzip", "json": "none", "csv": "zstd", "parquet": "zstd"} {
		id := p.a.file(t, ofA(object{"format": format, "compression": compression}))
		p.a.ended(t, id, "succeeded")
		for query, n := range map[string]int{"": 20, "?n=1": 1, "?n=200": 200} {
			got := p.b.get(t, "/v1/exports/"+id+"/preview"+query).is(t, http.StatusOK).object(t)
			records := got["records"].([]any)
			if len(records) != n || fmt.Sprint(got["total"]) != "320" || got["format"] != format || got["export_id"] != id ||
				got["target"] != "canonical" {
				t.Errorf("%s: %d records of %v", format, len(records), got["total"])
			}
			if r := records[0].(object); r["run_id"] != "r-000" || r["question"] != "say \"0\"\nمرحبا" {
				t.Errorf("%s: the first record is %v", format, r)
			}
		}
		for _, query := range []string{"n=0", "n=201", "n=x", "m=1"} {
			p.a.get(t, "/v1/exports/"+id+"/preview?"+query).problem(t, http.StatusUnprocessableEntity, query[:1])
		}
	}
	p.a.get(t, "/v1/exports/nope/preview").problem(t, http.StatusNotFound)
	none := p.a.in("nothing").file(t, ofA(nil))
	p.a.in("nothing").ended(t, none, "succeeded")
	if got := p.a.in("nothing").get(t, "/v1/exports/"+none+"/preview").is(t, http.StatusOK).
		object(t); fmt.Sprint(got["records"], " ", got["total"]) != "[] 0" {
		t.Errorf("the preview of nothing is %v", got)
	}
}

func filesHaveRangesAndTags(t *testing.T, p *places) {
	id := p.a.file(t, ofA(nil))
	p.a.ended(t, id, "succeeded")
	file := p.a.manifest(t, id)["files"].([]any)[0].(object)
	path := "/v1/exports/" + id + "/files/" + file["key"].(string)
	whole := p.b.get(t, path).is(t, http.StatusOK)
	tag := whole.header.Get("ETag")
	if tag != fmt.Sprintf("%q", file["sha256"]) || sha256Of(whole.body) != file["sha256"] ||
		fmt.Sprint(file["bytes"]) != fmt.Sprint(len(whole.body)) {
		t.Errorf("the file is tagged %s, has %d bytes and SHA-256 %s; the manifest says %v", tag, len(whole.body),
			sha256Of(whole.body), file)
	}
	if whole.header.Get("Accept-Ranges") != "bytes" || !strings.HasPrefix(whole.header.Get("Content-Disposition"),
		"attachment; filename=") {
		t.Errorf("headers %v", whole.header)
	}
	size := len(whole.body)
	for header, want := range map[string]string{
		"bytes=0-0": "0-0", "bytes=100-299": "100-299", "bytes=-7": fmt.Sprintf("%d-%d", size-7, size-1),
		fmt.Sprintf("bytes=%d-", size-5): fmt.Sprintf("%d-%d", size-5, size-1), "bytes=5-99999999": fmt.Sprintf("5-%d",
			size-1),
	} {
		got := p.a.get(t, path, "Range: "+header).is(t, http.StatusPartialContent)
		var from, to int
		fmt.Sscanf(want, "%d-%d", &from, &to)
		if !bytes.Equal(got.body, whole.body[from:to+1]) || got.header.Get("Content-Range") != fmt.Sprintf("bytes %s/%d",
			want, size) {
			t.Errorf("%s: %d bytes, %s", header, len(got.body), got.header.Get("Content-Range"))
		}
	}
	if got := p.a.get(t, path, fmt.Sprintf("Range: bytes=%d-", size)).is(t,
		http.StatusRequestedRangeNotSatisfiable); got.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
		t.Errorf("behind the end: %v", got.header)
	}
	checkMultiRange(t, p.a.get(t, path, "Range: bytes=0-9,100-109,-5").is(t, http.StatusPartialContent), whole.body)
	for header, status := range map[string]int{
		"If-Range: " + tag: 206, `If-Range: "another"`: 200, "If-None-Match: " + tag: 304, `If-None-Match: "another"`: 206,
		"If-None-Match: *": 304,
		"If-Match: " + tag: 206, `If-Match: "another"`: 412,
	} {
		got := p.a.get(t, path, "Range: bytes=0-9", header).is(t, status)
		if want := map[int]int{200: size, 206: 10, 304: 0}[status]; status != 412 && len(got.body) != want {
			t.Errorf("%s: %d bytes, want %d", header, len(got.body), want)
		}
	}
	head := p.a.call(t, "HEAD", path, nil).is(t, http.StatusOK)
	if head.header.Get("Content-Length") != fmt.Sprint(size) || head.header.Get("ETag") != tag || len(head.body) > 0 {
		t.Errorf("HEAD: %v", head.header)
	}
}

func checkMultiRange(t *testing.T, got *answer, whole []byte) {
	t.Helper()
	media, parameters, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil || media != "multipart/byteranges" {
		t.Fatalf("several ranges are %s", media)
	}
	parts := multipart.NewReader(bytes.NewReader(got.body), parameters["boundary"])
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
	id, other := p.a.file(t, ofA(nil)), p.a.file(t, ofA(nil))
	p.a.ended(t, id, "succeeded")
	p.a.ended(t, other, "succeeded")
	key := keys(t, p.a.manifest(t, id))[0]
	foreign := keys(t, p.a.manifest(t, other))[0]
	for _, bad := range []string{
		"nope", "data/", "data", "plan.json", "windows/00000.json", foreign, "data/../" + key, "..%2f" + other + "%2f" +
			foreign, "..%2F..%2F..%2Fserver%2Furl-signing-key",
		"%2e%2e/" + other + "/manifest.json", "..%5c" + foreign, "/" + key, "%2f" + key, key + "%00", key + "/",
		strings.ToUpper(key), "data%2f%2e%2e%2f" + key,
	} {
		got := p.a.get(t, "/v1/exports/"+id+"/files/"+bad)
		// net/http cleans a path; what it names is looked for
		if to := got.header.Get("Location"); got.status/100 == 3 && strings.HasPrefix(to, "/v1/") {
			got = p.a.get(t, to)
		}
		if got.status == http.StatusOK && got.header.Get("ETag") == fmt.Sprintf("%q", sha256Of(got.body)) &&
			strings.HasSuffix(bad, key) {
			continue // a path that was cleaned to that of the file
		}
		if got.status == http.StatusOK && strings.HasSuffix(bad, other+"/manifest.json") {
			continue // the same, to another export's, whose manifest the caller may have
		}
		got.problem(t, http.StatusNotFound)
	}
	p.a.get(t, "/v1/exports/"+id+"/files/"+strings.Repeat("x", 1100)).problem(t, http.StatusUnprocessableEntity, "key")
	p.a.get(t, "/v1/exports/nope/files/"+key).problem(t, http.StatusNotFound)
	p.a.in("other").get(t, "/v1/exports/"+id+"/files/"+key).problem(t, http.StatusNotFound)
	encoded := p.a.get(t, "/v1/exports/"+id+"/files/"+strings.ReplaceAll(key, "/", "%2F")).is(t, http.StatusOK)
	if sha256Of(encoded.body) != sha256Of(p.a.get(t, "/v1/exports/"+id+"/files/"+key).body) {
		t.Error("a key whose slash is encoded is another file")
	}
}

func filesOnS3(t *testing.T, p *places) {
	url, _ := buckettest.S3(t) // the credentials are in this process's environment, which others inherit
	there := p.elsewhere(t, "s3.", url)
	there.env.start(t, "export")
	s := endpoint{url: ready(t, there.env.start(t, "serve")), doc: p.a.doc}
	id := s.file(t, ofA(nil))
	s.ended(t, id, "succeeded")
	manifest := s.manifest(t, id)
	for _, f := range manifest["files"].([]any) {
		f := f.(object)
		to := s.get(t, "/v1/exports/"+id+"/files/"+f["key"].(string)).is(t, http.StatusSeeOther).header.Get("Location")
		if body := content(t, to); sha256Of(body) != f["sha256"] {
			t.Errorf("%s at %s is %.100s", f["key"], to, body)
		}
	}
	s.get(t, "/v1/exports/"+id+"/files/nope").problem(t, http.StatusNotFound)
	if got := s.call(t, "HEAD", "/v1/exports/"+id+"/files/"+keys(t, manifest)[0], nil); got.status != http.StatusOK &&
		got.status != http.StatusSeeOther {
		t.Errorf("HEAD: %d", got.status)
	}
	if got := s.get(t, "/v1/exports/"+id+"/preview").is(t, http.StatusOK).object(t); fmt.Sprint(got["total"]) != "320" {
		t.Errorf("the preview is %v", got)
	}
	checkZip(t, s.get(t, "/v1/exports/"+id+"/download").is(t, http.StatusOK), manifest)
	job := s.call(t, "POST", "/api/public/bot/bot/search/analytics-export",
		`{"filters":{"from":"2026-10-01","to":"2026-10-01"}}`).is(t, http.StatusOK).object(t)["_id"].(string)
	done := s.job(t, "bot", job)
	var records []any
	decode(t, content(t, done["fileInfo"].(object)["fileUrl"].(string)), &records)
	if len(records) != 150 {
		t.Errorf("the file of an analytics export has %d records", len(records))
	}
	s.call(t, "DELETE", "/v1/exports/"+id, nil).is(t, http.StatusNoContent)
	s.get(t, "/v1/exports/"+id+"/files/"+keys(t, manifest)[0]).problem(t, http.StatusGone)
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
func checkZip(t *testing.T, got *answer, manifest object) {
	t.Helper()
	if got.header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(got.header.Get("Content-Disposition"),
		"attachment; filename=") {
		t.Errorf("headers %v", got.header)
	}
	archive, err := zip.NewReader(bytes.NewReader(got.body), int64(len(got.body)))
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
			found[f.Name] = fmt.Sprint(parse(t, string(body)))
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
		id := p.a.file(t, request)
		p.a.ended(t, id, "succeeded")
		got := p.b.get(t, "/v1/exports/"+id+"/download").is(t, http.StatusOK)
		checkZip(t, got, p.a.manifest(t, id))
		_, parameters, err := mime.ParseMediaType(got.header.Get("Content-Disposition"))
		if name := parameters["filename"]; err != nil || !strings.HasSuffix(name, id+".zip") ||
			strings.ContainsAny(name, `/"\`) {
			t.Errorf("the file's name is %q", name)
		}
	}
	p.a.get(t, "/v1/exports/nope/download").problem(t, http.StatusNotFound)
}

// What was damaged on the disk must not look whole to who downloads it.
func damagedDownloadsAreCut(t *testing.T, p *places) {
	for name, spoil := range map[string]func(path string, body []byte) error{
		"a byte is another": func(path string, body []byte) error {
			body[len(body)/2] ^= 1
			return replaceFile(path, body)
		},
		"the end is missing": func(path string, body []byte) error { return replaceFile(path, body[:len(body)-1]) },
		"it is gone":         func(path string, _ []byte) error { return os.Remove(path) },
	} {
		id := p.a.file(t, ofA(nil))
		p.a.ended(t, id, "succeeded")
		data := keys(t, p.a.manifest(t, id))
		path := filepath.Join(p.folder(t, "acme", id), filepath.FromSlash(data[len(data)-1]))
		body, err := os.ReadFile(path)
		if err == nil {
			err = spoil(path, slices.Clone(body))
		}
		if err != nil {
			t.Fatal(err)
		}
		got := p.a.get(t, "/v1/exports/"+id+"/download")
		if _, err := zip.NewReader(bytes.NewReader(got.body), int64(len(got.body))); got.err == nil &&
			got.status == http.StatusOK || err == nil {
			t.Errorf("%s: the answer is %d and ends well: %v, %v", name, got.status, got.err, err)
		}
	}
}
