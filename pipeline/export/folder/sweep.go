package folder

import (
	"context"
	"errors"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

// Sweep deletes the fragments and sidecars that keep does not list: objects of failed attempts, and
// of attempts that another attempt preceded.
func (f Folder) Sweep(ctx context.Context, keep []export.File) error {
	objects, err := f.Bucket.List(ctx, f.Key(""))
	if err != nil {
		return err
	}
	_, err = f.deleteFiles(ctx, objects, keep)
	return err
}

// Clean deletes the files of an ended export that its manifest does not list, because they were
// written after its end. Of a deleted export it deletes all files. It returns the number of deleted
// files. Clean does not touch an export that has not ended.
func (f Folder) Clean(ctx context.Context) (deleted int, err error) {
	objects, err := f.Bucket.List(ctx, f.Key(""))
	if err != nil {
		return 0, err
	}
	var hasFiles, isDeleted bool
	for _, o := range objects {
		hasFiles = hasFiles || isFile(f.name(o))
		isDeleted = isDeleted || f.name(o) == export.DeletedName
	}
	if !hasFiles {
		return 0, nil
	}
	m, _, err := f.Manifest(ctx)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case m.ID != f.ID || !m.Status.Final(): // a manifest that Millrace did not write here lists nothing to keep
		return 0, &strictjson.Refusal{
			Code: strictjson.InvalidJSON, Rule: "object " + f.Key(export.ManifestName) +
				" is not the manifest of the export: restore it",
		}
	case isDeleted:
		return f.deleteFiles(ctx, objects, nil)
	}
	return f.deleteFiles(ctx, objects, m.Files)
}

// isFile reports whether an object with the name is a file, which a manifest lists, and not a
// document.
func isFile(name string) bool {
	return strings.HasPrefix(name, export.DataDir) || strings.HasPrefix(name, export.MetaDir) || name == export.CardName
}

func (f Folder) deleteFiles(ctx context.Context, objects []bucket.Object, keep []export.File) (deleted int, err error) {
	kept := make(map[string]bool, len(keep))
	for _, file := range keep {
		kept[file.Key] = true
	}
	for _, o := range objects {
		if name := f.name(o); !isFile(name) || kept[name] {
			continue
		}
		if err := f.Bucket.Delete(ctx, o.Key); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}
