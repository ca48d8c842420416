package files

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/sinks/bucket"
)

// ErrUnverified means that the manifest in the bucket is not the one that a state of an export tells
// of, or that there is none.
var ErrUnverified = errors.New("the manifest is not the one of the completion")

// Derive replaces what people follow or run, which events must not decide: the address of the
// manifest, and the command that loads the files. Both come from the bucket, and the command only
// from a manifest whose SHA-256 is the one that the state has. With an error there is no command.
func Derive(ctx context.Context, b *bucket.Bucket, s *export.State) error {
	s.LoadWith, s.ManifestURI = "", ""
	if !s.Status.Final() {
		return nil
	}
	f := folder.Folder{Bucket: b, ID: s.ID}
	s.ManifestURI = b.URL(f.Key(export.ManifestName))
	if s.Status != export.StatusSucceeded {
		return nil
	}
	m, text, err := f.Manifest(ctx)
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return fmt.Errorf("export %s: %w: there is none", s.ID, ErrUnverified)
	case err != nil:
		return err
	case m.ID != s.ID || export.HashText(text) != s.ManifestSHA256:
		return fmt.Errorf("export %s: %w", s.ID, ErrUnverified)
	case m.Status == export.StatusSucceeded:
		s.LoadWith = card.LoadWith(m, strings.TrimSuffix(s.ManifestURI, export.ManifestName))
	}
	return nil
}
