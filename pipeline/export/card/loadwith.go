package card

import (
	"fmt"
	"net/url"
	pathpkg "path"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

// LoadWith returns a shell command that loads the data set of the folder dir: a URL, a path, or ""
// for the working directory. It returns "" where there is nothing to load, or where no tool reads
// such a URL.
//
// Where the target has a reader of its own, the command starts that reader. Most readers take one
// local file, so that the command first downloads fragments and objects of a store, which joins
// them. All other targets are loaded with DuckDB, see duckDB.
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
	return fmt.Sprintf("millrace exports download %s --workspace %s && cd %[1]s && %[3]s", m.ExportID, m.WorkspaceID,
		inFolder(target.Load, first.name+"."+extension))
}

// inFolder returns the command with a file of the working directory.
func inFolder(command, file string) string {
	return strings.NewReplacer("{file}", file, "{dir}", ".").Replace(command)
}

func shellText(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// duckDB returns the command for DuckDB, which reads all formats and unites documents with
// different shapes. The command names exactly the files of the manifest, because a glob would also
// find files that do not belong to the export.
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
			"read_json(%s, columns = {files: 'STRUCT(key VARCHAR, kind VARCHAR)[]'}, maximum_object_size = 1073741824)) "+
			"WHERE f.kind = 'data'); ",
			duckText(dir), duckText(dir+export.ManifestName))
	}
	sql := setup + "FROM " + fmt.Sprintf(duckReaders[m.Format], files)
	if m.Format == export.JSONL || m.Format == export.JSON {
		sql += ", " + duckTypes(m) + ")"
	}
	return `duckdb -c "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(sql) + `"`
}

// maxNamedFiles is how many files a command names. The command reads the names of more files from
// the manifest, because a shell accepts a command of 128 kB at most.
const maxNamedFiles = 10

// duckReaders has the reader of each format. CSV: the dialect is given, and columns stay text,
// because a column of numbers may have leading zeros, or other texts in the next file. The limit of
// a line is twice the limit of a record, because quotes and line feeds take two bytes. DuckDB
// allocates only what it needs.
var duckReaders = map[string]string{
	export.JSONL: "read_json(%s, format = 'newline_delimited', " + duckObject,
	export.JSON:  "read_json(%s, format = 'array', " + duckObject,
	export.CSV: `read_csv(%s, header = true, delim = ',', quote = '"', escape = '"', comment = '', skip = 0, ` +
		"all_varchar = true, max_line_size = 134217728)",
	export.Parquet: "read_parquet(%s)",
}

const duckObject = "maximum_object_size = 134217728"

// duckTypes returns how DuckDB finds the types of JSON. Types that are given keep texts that look
// like dates, and columns that are null in most files. Records without fixed keys have their types
// from all records of all files.
func duckTypes(m *export.Manifest) string {
	var options map[string]any
	if m.Request != nil {
		options = m.Request.Options
	}
	columns := columnsOf(m.Purpose, m.Target, options)
	if len(columns) == 0 {
		return "sample_size = -1, maximum_sample_files = -1"
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = duckText(c.Name) + ": " + duckText(duckType(c))
	}
	return "columns = {" + strings.Join(list, ", ") + "}"
}

func duckType(c fragment.Column) string {
	switch c.Type {
	case fragment.Integer:
		return "BIGINT"
	case fragment.Float:
		return "DOUBLE"
	case fragment.Boolean:
		return "BOOLEAN"
	case fragment.Time:
		return "TIMESTAMP"
	case fragment.Document:
		return "JSON"
	case fragment.List:
		return duckType(*c.Element) + "[]"
	case fragment.Struct:
		fields := make([]string, len(c.Fields))
		for i, f := range c.Fields {
			fields[i] = `"` + strings.ReplaceAll(f.Name, `"`, `""`) + `" ` + duckType(f)
		}
		return "STRUCT(" + strings.Join(fields, ", ") + ")"
	}
	return "VARCHAR"
}

// pandas returns Python that reads a file with pandas. Readers of pandas that choose types change
// values: 0017 becomes 17, 1.10 becomes 1.1, integers of 19 digits become floats, and they refuse
// integers beyond 64 bits. So JSON is read by Python itself, and CSV as texts.
func pandas(m *export.Manifest, key string) string {
	file := strconv.Quote(key)
	switch m.Format {
	case export.CSV:
		return "import pandas\n\ndata = pandas.read_csv(" + file + ", dtype=str, keep_default_na=False)"
	case export.Parquet:
		return "import pandas\n\ndata = pandas.read_parquet(" + file + `, dtype_backend="pyarrow")`
	}
	module, open := "", "open"
	switch m.Compression {
	case export.Gzip:
		module, open = "gzip, ", "gzip.open"
	case export.Zstd:
		open = "zstandard.open"
	}
	text := "import " + module + "json, pandas"
	if m.Compression == export.Zstd {
		text += ", zstandard"
	}
	read := "map(json.loads, file)"
	if m.Format == export.JSON {
		read = "json.load(file)"
	}
	return text + "\n\nwith " + open + "(" + file + `, "rt", encoding="utf-8-sig") as file:` +
		"\n    data = pandas.DataFrame(" + read + ", dtype=object)"
}

// duckPath returns the folder as DuckDB names it, and the statements that DuckDB has to run first.
func duckPath(dir string) (path, setup string, ok bool) {
	scheme, _, isURL := strings.Cut(dir, "://")
	switch {
	case !isURL:
		return dir, "", true
	case scheme == "s3":
		// DuckDB finds credentials as the AWS command line does. Users of another endpoint have to
		// add it.
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
