package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/dashboards/web"
)

const assetsPath = "/assets/"

// assets serves styles and scripts below /assets/<version>/, so that a module finds the others of
// its own version.
type assets struct {
	version string // changes when any file changes
	files   map[string]asset
}

type asset struct {
	body        []byte
	compressed  []byte
	contentType string
	etag        string
}

func loadAssets() *assets {
	a := &assets{files: map[string]asset{}}
	all := sha256.New()
	err := fs.WalkDir(web.Static(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(web.Static(), name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		all.Write(sum[:])
		all.Write([]byte(name))
		a.files[name] = asset{body: body, compressed: gzipped(body), contentType: contentType(name), etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		panic(err) // they are embedded
	}
	a.version = hex.EncodeToString(all.Sum(nil)[:8])
	return a
}

// contentType returns the media type of a file name. It does not use the tables of the machine,
// which differ.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

// path is where a page finds a file.
func (a *assets) path(name string) string { return assetsPath + a.version + "/" + name }

// ServeHTTP serves a file. A file of this version never changes, so browsers may keep it. A page
// from before an upgrade asks for another version; it gets the present file, which browsers must
// not keep.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, assetsPath), "/")
	f, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	if version == a.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Add("Vary", "Accept-Encoding")
	body := f.body
	if takesGzip(r) && r.Header.Get("Range") == "" {
		body = f.compressed
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", strings.TrimSuffix(f.etag, `"`)+`-gzip"`)
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}

// leastCompressed is the size in bytes of the smallest answer that is compressed: less fits one packet.
const leastCompressed = 1400

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	return w
}}

// compress returns a body compressed with gzip, and sets the headers that say so. It returns nil where
// the client does not take that, or where the body is small.
func compress(h http.Header, r *http.Request, body []byte) []byte {
	h.Add("Vary", "Accept-Encoding")
	if len(body) < leastCompressed || !takesGzip(r) {
		return nil
	}
	compressed := gzipped(body)
	h.Set("Content-Encoding", "gzip")
	h.Set("Content-Length", strconv.Itoa(len(compressed)))
	return compressed
}

func gzipped(body []byte) []byte {
	w, _ := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	w.Write(body) //nolint:errcheck // a buffer takes everything
	w.Close()
	return b.Bytes()
}

// takesGzip reports whether a client takes answers that are compressed with gzip.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight, found := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			return !found || err == nil && q > 0
		}
	}
	return false
}
