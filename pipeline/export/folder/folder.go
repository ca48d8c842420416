// Package folder reads and creates the documents of an export's folder in the bucket: plan.json,
// cancel.json, the manifests of windows, manifest.json and deleted.json. The first writer creates a document,
// and nobody changes it later, so that readers may cache it. The error for a document that somebody
// else changed is a *strictjson.Refusal: a retry does not help.
//
//	folder.go   Folder: one document each; Plans: a cache of plans
//	cancels.go  cancel.json, and the cancels whose request has not come
//	unfinished.go  which exports have not ended
//	sweep.go    Sweep, Clean: delete the files that no manifest lists
package folder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

// Folder is the folder of an export.
type Folder struct {
	Bucket *bucket.Bucket
	ID     export.ID
}

// Key returns the key of an object of the folder.
func (f Folder) Key(name string) string { return f.ID.Prefix() + name }

// Plan reads plan.json. It returns bucket.ErrNotFound where there is none.
func (f Folder) Plan(ctx context.Context) (*export.Plan, error) {
	p, _, err := read[export.Plan](ctx, f, export.PlanName)
	return p, err
}

// CreatePlan creates plan.json and returns the plan in the bucket: p, or the plan that existed
// before.
func (f Folder) CreatePlan(ctx context.Context, p *export.Plan) (*export.Plan, error) {
	stored, _, err := create(ctx, f, export.PlanName, p)
	return stored, err
}

// Window reads the manifest of a window. It returns bucket.ErrNotFound where there is none.
func (f Folder) Window(ctx context.Context, window int) (*export.WindowManifest, error) {
	w, _, err := read[export.WindowManifest](ctx, f, export.WindowName(window))
	return w, err
}

// CreateWindow creates the manifest of a window and returns the manifest in the bucket: w, or the
// manifest that existed before.
func (f Folder) CreateWindow(ctx context.Context, w *export.WindowManifest) (*export.WindowManifest, error) {
	stored, _, err := create(ctx, f, export.WindowName(w.Window), w)
	return stored, err
}

// Windows returns the numbers of the windows that have a manifest, ascending.
func (f Folder) Windows(ctx context.Context) ([]int, error) {
	objects, err := f.Bucket.List(ctx, f.Key(export.WindowsDir))
	if err != nil {
		return nil, err
	}
	var windows []int
	for _, o := range objects {
		if w, ok := export.ParseWindowName(f.name(o)); ok {
			windows = append(windows, w)
		}
	}
	return windows, nil
}

// readers is how many manifests of windows are read concurrently.
const readers = 16

// ReadWindows reads the manifests of windows concurrently, and returns them in the order of
// numbers.
func (f Folder) ReadWindows(ctx context.Context, numbers []int) ([]*export.WindowManifest, error) {
	windows := make([]*export.WindowManifest, len(numbers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, number := range numbers {
		group.Go(func() (err error) {
			windows[i], err = f.Window(ctx, number)
			return err
		})
	}
	return windows, group.Wait()
}

// name returns the name of an object relative to the folder.
func (f Folder) name(o bucket.Object) string { return strings.TrimPrefix(o.Key, f.ID.Prefix()) }

// Manifest reads manifest.json and returns it with its text. It returns bucket.ErrNotFound where
// there is none.
func (f Folder) Manifest(ctx context.Context) (*export.Manifest, []byte, error) {
	return read[export.Manifest](ctx, f, export.ManifestName)
}

// Ended reports whether the export has a manifest.
func (f Folder) Ended(ctx context.Context) (bool, error) {
	r, _, err := f.Bucket.NewReader(ctx, f.Key(export.ManifestName))
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}

// CreateManifest creates manifest.json and returns the manifest in the bucket and its text: m, or
// the manifest that existed before.
func (f Folder) CreateManifest(ctx context.Context, m *export.Manifest) (*export.Manifest, []byte, error) {
	return create(ctx, f, export.ManifestName, m)
}

// Deletion reads deleted.json. It returns bucket.ErrNotFound where there is none.
func (f Folder) Deletion(ctx context.Context) (*export.Deletion, error) {
	d, _, err := read[export.Deletion](ctx, f, export.DeletedName)
	return d, err
}

// CreateDeletion creates deleted.json and returns the deletion in the bucket: d, or the deletion
// that existed before.
func (f Folder) CreateDeletion(ctx context.Context, d *export.Deletion) (*export.Deletion, error) {
	stored, _, err := create(ctx, f, export.DeletedName, d)
	return stored, err
}

// CreateSidecar creates README.md or another sidecar and returns its text in the bucket: text, or
// the text that existed before, which another release may have written.
func (f Folder) CreateSidecar(ctx context.Context, name string, text []byte) ([]byte, error) {
	err := f.Bucket.Create(ctx, f.Key(name), text)
	if errors.Is(err, bucket.ErrExists) {
		return f.Bucket.Read(ctx, f.Key(name))
	}
	return text, err
}

func read[T any](ctx context.Context, f Folder, name string) (*T, []byte, error) {
	changed := &strictjson.Refusal{
		Code: strictjson.InvalidJSON, Rule: "object " + f.Key(name) +
			" was changed after Millrace wrote it: restore it, and replay this record",
	}
	text, err := f.Bucket.Read(ctx, f.Key(name))
	switch {
	case errors.Is(err, bucket.ErrTooLarge):
		return nil, nil, changed
	case err != nil:
		return nil, nil, err
	}
	doc := new(T)
	if tooMany(text) || json.Unmarshal(text, doc) != nil {
		return nil, nil, changed
	}
	return doc, text, nil
}

// A document of few bytes may be decoded to a hundred times them, if it is nothing but empty objects or
// numbers. Those that Millrace writes have more bytes: an object of a file has 300, and a value has a line
// of its own. Texts may have any characters, so up to these numbers nothing is said about bytes.
const (
	manyObjects, bytesPerObject = 1 << 19, 32
	manyValues, bytesPerValue   = 1 << 22, 4
)

func tooMany(document []byte) bool {
	objects, values := bytes.Count(document, []byte("{")), bytes.Count(document, []byte(","))
	return objects > max(manyObjects, len(document)/bytesPerObject) ||
		values > max(manyValues, len(document)/bytesPerValue)
}

func create[T any](ctx context.Context, f Folder, name string, doc *T) (*T, []byte, error) {
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, nil, err
	}
	text = append(text, '\n')
	err = f.Bucket.Create(ctx, f.Key(name), text)
	if errors.Is(err, bucket.ErrExists) {
		return read[T](ctx, f, name)
	}
	if err != nil {
		return nil, nil, err
	}
	return doc, text, nil
}

// Plans is a cache of plans.
type Plans struct {
	mu    sync.Mutex
	plans map[export.ID]*export.Plan
}

// maxPlans bounds the memory of the cache: a plan with 10,000 run ids has about a megabyte.
const maxPlans = 64

// Of returns the plan of a folder. It returns bucket.ErrNotFound where there is none.
func (c *Plans) Of(ctx context.Context, f Folder) (*export.Plan, error) {
	c.mu.Lock()
	p := c.plans[f.ID]
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := f.Plan(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plans == nil || len(c.plans) >= maxPlans {
		c.plans = map[export.ID]*export.Plan{}
	}
	c.plans[f.ID] = p
	return p, nil
}
