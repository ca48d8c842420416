package api

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/sinks/bucket"
)

// fileOperation is the operation that signed URLs call.
const fileOperation = "get-export-file"

// fileExpiry is how long the URL of a redirect to the object store works.
const fileExpiry = 15 * time.Minute

func bytesOf(description string) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
}

func (a *API) registerFiles() {
	huma.Register(a.api, huma.Operation{
		OperationID: previewOperation, Method: http.MethodGet, Path: "/v1/exports/{id}/preview",
		Summary: "Look at some records", Tags: []string{"Exports"},
		Security: requireScope(auth.ExportsRead), Errors: []int{401, 403, 404, 409, 410, 422, 503},
		RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *struct {
		ExportPath
		N     int    `query:"n" minimum:"1" maximum:"200" default:"20" doc:"How many."`
		After int64  `query:"after" minimum:"0" doc:"How many records to pass over."`
		Split string `query:"split" maxLength:"64" doc:"The records of this split alone."`
	}) (*struct{ Body *files.Preview }, error) {
		id := exportID(ctx, in.ID)
		p, err := a.exports.Preview(ctx, id, files.Span{Split: in.Split, After: in.After, N: in.N})
		return &struct{ Body *files.Preview }{p}, a.note(ctx, about(ctx, id, audit.Viewed, "preview-export"), err)
	})
	huma.Register(a.api, huma.Operation{
		OperationID: fileOperation, Method: http.MethodGet, Path: "/v1/exports/{id}/files/{key...}",
		Summary: "Get a file of an export", Tags: []string{"Exports"},
		Description: "A file that the manifest lists, by its `key`, or `manifest.json` itself. The ETag is its SHA-256. If " +
			"the object store can sign URLs, the answer is 303 to a signed URL. " +
			"A `fileUrl` of the Answer Insights routes is this route with `workspace`, `filename`, `expires` and `signature`; " +
			"it needs no token, and is answered by the server itself. Its clients may append `store.urlParams`.",
		Security: requireScope(auth.ExportsRead), Errors: []int{401, 403, 404, 409, 410, 412, 416, 422, 503},
		RejectUnknownQueryParameters: true,
		Responses: map[string]*huma.Response{
			"200": bytesOf("The file"), "206": bytesOf("The requested range"),
			"303": {Description: "The URL of the file, valid for some minutes",
				Headers: map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: "string", Format: "uri"}}}},
			"304": {Description: "The file is the one of If-None-Match"},
		},
	}, func(ctx context.Context, in *struct {
		ExportPath
		Key       string `path:"key" maxLength:"1024" doc:"Key of the file, relative to the export." example:"data/train-00000-00000-k3v9.jsonl"`
		Range     string `header:"Range" doc:"As in RFC 9110."`
		IfRange   string `header:"If-Range"`
		Workspace string `query:"workspace" doc:"Of a signed URL."`
		FileName  string `query:"filename" doc:"Of a signed URL: the name under which the file is stored."`
		Expires   int64  `query:"expires" doc:"Of a signed URL: its expiry, in seconds since 1970."`
		Signature string `query:"signature" doc:"Of a signed URL."`

		ClientFileName string `query:"clientfilename" doc:"Of store.urlParams: the name under which the file is stored."`
		BatchTesting   string `query:"batchtesting" doc:"Of store.urlParams; ignored."`
	}) (*huma.StreamResponse, error) {
		f, err := a.file(ctx, exportID(ctx, in.ID), in.Key)
		if err != nil {
			return nil, a.toError(ctx, err)
		}
		if in.Signature != "" {
			f.name = clientName(in.FileName, in.ClientFileName)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			a.serveFile(w, r.WithContext(ctx.Context()), f) // which has the caller
		}}, nil
	})
	huma.Register(a.api, huma.Operation{
		OperationID: downloadOperation, Method: http.MethodGet, Path: "/v1/exports/{id}/download",
		Summary: "Download an export", Tags: []string{"Exports"},
		Description: "All files of the export as one zip, with manifest.json. The server checks the SHA-256 of each file " +
			"while it sends it: an answer that breaks off has a damaged file.",
		Security: requireScope(auth.ExportsRead), Errors: []int{401, 403, 404, 409, 410, 422, 503},
		RejectUnknownQueryParameters: true,
		Responses: map[string]*huma.Response{"200": {Description: "The zip",
			Content: map[string]*huma.MediaType{"application/zip": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}},
	}, func(ctx context.Context, in *ExportPath) (*huma.StreamResponse, error) {
		d, err := a.exports.Dataset(ctx, exportID(ctx, in.ID))
		if err == nil {
			err = d.Readable()
		}
		if err != nil {
			return nil, a.toError(ctx, err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			a.serveZip(w, r.WithContext(ctx.Context()), d)
		}}, nil
	})
}

// servedFile is a file of an export.
type servedFile struct {
	export.File
	dataset *files.Dataset
	text    []byte // the content of a file that is not in the manifest
	name    string // under which a client stores the file; "" is the last part of the key
}

// file returns a file of an export.
func (a *API) file(ctx context.Context, id export.ID, key string) (*servedFile, error) {
	d, err := a.exports.Dataset(ctx, id)
	if err != nil {
		return nil, err
	}
	if key == export.ManifestName && d.Manifest != nil {
		return textFile(d, key, d.ManifestText()), nil
	}
	if err := d.Readable(); err != nil {
		return nil, err
	}
	if key == emptyFile.Key && d.Manifest.Target == insightsTarget && len(d.Files()) == 0 {
		return textFile(d, key, []byte("[]\n")), nil
	}
	f, ok := d.Find(key)
	if !ok {
		return nil, problem(http.StatusNotFound,
			"the manifest of this export does not list such a file: manifest.json has the keys")
	}
	return &servedFile{File: f, dataset: d}, nil
}

// emptyFile is the file that clients of Answer Insights get of an export without records. It is not
// in the bucket.
var emptyFile = export.File{Key: "data/empty.json"}

func textFile(d *files.Dataset, key string, text []byte) *servedFile {
	return &servedFile{File: export.File{Key: key, Bytes: int64(len(text)), SHA256: export.HashText(text)}, dataset: d,
		text: text}
}

// clientName returns the name under which a client stores the file of a signed URL: the one that the
// client asks for, or else the signed one. The clients of Answer Insights ask for the same name for
// all parts of an export, so that a part keeps the signed name.
func clientName(signed, asked string) string {
	stem := strings.TrimSuffix(asked, path.Ext(asked))
	if asked == "" || signed != "" && strings.HasPrefix(signed, stem+"_part_") {
		return signed
	}
	return path.Base(asked)
}

// mediaTypes are the media types of file name extensions.
var mediaTypes = map[string]string{
	".jsonl": "application/x-ndjson", ".json": "application/json", ".csv": "text/csv; charset=utf-8",
	".parquet": "application/vnd.apache.parquet",
	".md":      "text/markdown; charset=utf-8", ".gz": "application/gzip", ".zst": "application/zstd",
}

func (a *API) serveFile(w http.ResponseWriter, r *http.Request, f *servedFile) {
	if f.name == "" && f.text == nil && r.Method == http.MethodGet {
		to, err := f.dataset.SignedURL(r.Context(), f.File, fileExpiry)
		if err == nil {
			err = a.downloaded(r.Context(), f.dataset.Plan.ID, f.Key, fileOperation, audit.SignedURL)
		}
		if err == nil {
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		if !errors.Is(err, bucket.ErrNotSupported) {
			a.toProblem(r.Context(), err).write(w)
			return
		}
	}
	if r.Method == http.MethodGet {
		if err := a.downloaded(r.Context(), f.dataset.Plan.ID, f.Key, fileOperation, audit.OK); err != nil {
			a.toProblem(r.Context(), err).write(w)
			return
		}
	}
	h := w.Header()
	h.Set("ETag", `"`+f.SHA256+`"`)
	h.Set("Cache-Control", "private, max-age=0, must-revalidate") // a file never changes, but can be deleted
	h.Set("Content-Disposition", attachment(cmp.Or(f.name, path.Base(f.Key))))
	if t := mediaTypes[path.Ext(f.Key)]; t != "" {
		h.Set("Content-Type", t)
	} else {
		h.Set("Content-Type", "application/octet-stream")
	}
	var content io.ReadSeeker = bytes.NewReader(f.text)
	if f.text == nil {
		file := f.dataset.Open(r.Context(), f.File)
		defer file.Close()
		content = file
	}
	http.ServeContent(&contentWriter{ResponseWriter: w}, r, "", time.Time{}, content)
}

// contentWriter answers with problems where http.ServeContent answers with text.
type contentWriter struct {
	http.ResponseWriter
	refused bool
}

// Unwrap is for http.ResponseController.
func (c *contentWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (c *contentWriter) WriteHeader(status int) {
	details := map[int]string{
		http.StatusRequestedRangeNotSatisfiable: "the file has no such range",
		http.StatusPreconditionFailed:           "the file is not the one of If-Match",
	}
	if c.refused = details[status] != ""; !c.refused {
		c.ResponseWriter.WriteHeader(status)
		return
	}
	c.Header().Del("Content-Disposition")
	c.Header().Del("Content-Length")
	problem(status, details[status]).write(c.ResponseWriter)
}

// Write implements io.Writer.
func (c *contentWriter) Write(p []byte) (int, error) {
	if c.refused {
		return len(p), nil
	}
	return c.ResponseWriter.Write(p)
}

func attachment(name string) string {
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}

// serveZip sends the files without compression: they are compressed already, or the network is
// faster than one core deflates.
func (a *API) serveZip(w http.ResponseWriter, r *http.Request, d *files.Dataset) {
	if r.Method != http.MethodHead {
		if err := a.downloaded(r.Context(), d.Plan.ID, "", "download-export", audit.OK); err != nil {
			a.toProblem(r.Context(), err).write(w)
			return
		}
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", attachment(zipName(d.Manifest)))
	if r.Method == http.MethodHead {
		return
	}
	out := zip.NewWriter(w)
	err := func() error {
		for _, f := range d.Manifest.Files {
			entry, err := out.CreateHeader(&zip.FileHeader{Name: f.Key, Method: zip.Store, Modified: d.Manifest.CreatedAt})
			if err != nil {
				return err
			}
			if err := d.Copy(r.Context(), entry, f); err != nil {
				return err
			}
		}
		entry, err := out.CreateHeader(&zip.FileHeader{Name: export.ManifestName, Method: zip.Store,
			Modified: d.Manifest.CreatedAt})
		if err != nil {
			return err
		}
		if _, err := entry.Write(d.ManifestText()); err != nil {
			return err
		}
		return out.Close()
	}()
	if err != nil {
		if r.Context().Err() == nil {
			a.cfg.Log.Error("download aborted", "export_id", d.Plan.String(), "error", err)
		}
		panic(http.ErrAbortHandler) // a part of a zip must not look complete
	}
}

// zipName returns the file name of a download: the name and the id of the export.
func zipName(m *export.Manifest) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, m.Name)
	if name = strings.Trim(name[:min(len(name), 60)], "-."); name != "" {
		name += "-"
	}
	return fmt.Sprintf("%s%s.zip", name, strings.NewReplacer(":", "_", "~", "_").Replace(m.ExportID))
}
