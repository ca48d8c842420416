package card

import (
	"fmt"
	"net/url"
	pathpkg "path"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// LoadWith returns a shell command that loads the data set whose folder is at dir, a URL, a path or "" for
// the working directory; "" where there is nothing to load, or no tool that reads such a URL.
//
// A target with a reader of its own is loaded into that, from its folder; most of them read one local file, so that
// fragments and those of an object store are downloaded first, which joins them. The tool of all others is DuckDB, see
// duckDB.
func LoadWith(m *export.Manifest, dir string) string {
	target, err := targets.Find(m.Purpose, m.Target)
	if err != nil || target.Load == "" {
		return duckDB(m, dir)
	}
	splits := splitsOf(m)
	if len(splits) == 0 {
		return ""
	}
	first := splits[0]
	path, setup, ok := duckPath(dir)
	if dir == "" || ok && setup == "" && len(first.files) == 1 {
		command := inFolder(target.Load, first.files[0].Key)
		if path != "" {
			command = "cd " + shellText(path) + " && " + command
		}
		return command
	}
	_, extension, _ := strings.Cut(pathpkg.Base(first.files[0].Key), ".")
	return fmt.Sprintf("millrace exports download %s --workspace %s && cd %[1]s && %[3]s", m.ExportID, m.WorkspaceID, inFolder(target.Load, first.name+"."+extension))
}

// inFolder is the command that loads a file of the working directory.
func inFolder(command, file string) string {
	return strings.NewReplacer("{file}", file, "{dir}", ".").Replace(command)
}

func shellText(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// duckDB is the command for DuckDB, which reads all formats and unites documents whose shapes differ from run to run. It
// names exactly the files of the manifest: a glob would find what does not belong to the export.
func duckDB(m *export.Manifest, dir string) string {
	var data []export.File
	for _, f := range m.Files {
		if f.Kind == export.Data {
			data = append(data, f)
		}
	}
	dir, setup, ok := duckPath(dir)
	if len(data) == 0 || !ok {
		return ""
	}
	files := "getvariable('files')"
	switch {
	case len(data) == 1:
		files = duckText(dir + data[0].Key)
	case len(data) <= maxNamedFiles:
		names := make([]string, len(data))
		for i, f := range data {
			names[i] = duckText(dir + f.Key)
		}
		files = "[" + strings.Join(names, ", ") + "]"
	default:
		setup += fmt.Sprintf("SET VARIABLE files = (SELECT list(%s || f.key) FROM (SELECT unnest(files) AS f FROM "+
			"read_json(%s, columns = {files: 'STRUCT(key VARCHAR, kind VARCHAR)[]'}, maximum_object_size = 1073741824)) WHERE f.kind = 'data'); ",
			duckText(dir), duckText(dir+export.ManifestName))
	}
	sql := setup + "FROM " + fmt.Sprintf(duckReaders[m.Format], files)
	return `duckdb -c "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(sql) + `"`
}

// maxNamedFiles is how many files a command names; the names of more it reads from the manifest, since a shell
// takes a command of 128 kB at most.
const maxNamedFiles = 10

// duckReaders reads each format. JSON: all records of all files are looked at before a type is chosen. CSV: the
// dialect is known, and columns stay text, since a column that looks like numbers may have leading zeros, or
// may not look so in the next file. The limits of a line are twice those of a record, since quotes and line feeds
// take two bytes, and of the manifest what a million files take; DuckDB allocates what it needs.
var duckReaders = map[string]string{
	export.JSONL:   "read_json(%s, format = 'newline_delimited', " + duckJSON,
	export.JSON:    "read_json(%s, format = 'array', " + duckJSON,
	export.CSV:     `read_csv(%s, header = true, delim = ',', quote = '"', escape = '"', comment = '', skip = 0, all_varchar = true, max_line_size = 134217728)`,
	export.Parquet: "read_parquet(%s)",
}

const duckJSON = "sample_size = -1, maximum_sample_files = -1, maximum_object_size = 134217728)"

// duckPath returns a folder as DuckDB names it, and the statements that it needs before.
func duckPath(dir string) (path, setup string, ok bool) {
	scheme, _, isURL := strings.Cut(dir, "://")
	switch {
	case !isURL:
		return dir, "", true
	case scheme == "s3":
		// Credentials are found as the AWS command line finds them; an endpoint of one's own has to be added.
		return dir, "CREATE SECRET (TYPE s3, PROVIDER credential_chain); ", true
	case scheme == "file":
		u, err := url.Parse(dir)
		if err != nil {
			return "", "", false
		}
		return u.Path, "", true
	}
	return "", "", false
}

func duckText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
