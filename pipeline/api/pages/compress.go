package pages

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

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
