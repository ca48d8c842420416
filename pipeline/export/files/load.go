package files

import (
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
)

// LoadDownloaded returns the shell command that loads a download, run in its folder. It returns "" if
// there is nothing to load. Fragments are as in [DownloadOptions].
func (d *Dataset) LoadDownloaded(fragments bool) (string, error) {
	targets, err := d.targets(fragments)
	if err != nil {
		return "", err
	}
	m := *d.Manifest
	m.Files = nil
	for _, t := range targets {
		if t.kind == export.Data {
			m.Files = append(m.Files, export.File{Key: t.path, Kind: t.kind, Split: t.objects[0].Split, Records: t.records})
		}
	}
	return card.LoadWith(&m, ""), nil
}
