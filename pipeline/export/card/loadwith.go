package card

import (
	"fmt"
	"net/url"
	pathpkg "path"
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
// them. All other targets are loaded with DuckDB, see duckSQL.
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

// duckDB returns the command for DuckDB.
func duckDB(m *export.Manifest, dir string) string {
	sql := duckSQL(m, dir, "")
	if sql == "" {
		return ""
	}
	return `duckdb -c "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(sql) + `"`
}

// duckSQL returns SQL that reads a split, or with "" all of them, in DuckDB, which reads all formats
// and unites documents with different shapes. It names exactly the files of the manifest, because a
// glob would also find files that do not belong to the export.
func duckSQL(m *export.Manifest, dir, split string) string {
	var data []export.File
	for _, f := range m.Files {
		if f.Kind == export.Data && (split == "" || f.Split == split) {
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
			"read_json(%s, columns = {files: 'STRUCT(key VARCHAR, kind VARCHAR, split VARCHAR)[]'}, "+
			"maximum_object_size = 1073741824)) WHERE f.kind = 'data'", duckText(dir), duckText(dir+export.ManifestName))
		if split != "" {
			setup += " AND f.split = " + duckText(split)
		}
		setup += "); "
	}
	switch m.Format {
	case export.CSV:
		return setup + fmt.Sprintf(duckCSV, files)
	case export.Parquet:
		return setup + "FROM read_parquet(" + files + ")"
	}
	layout := "array"
	if m.Format == export.JSONL {
		layout = "newline_delimited"
	}
	reader, types := "read_json_objects", ""
	if columns := columnsOf(m.Purpose, m.Target, optionsOf(m)); len(columns) > 0 {
		reader, types = "read_json", ", "+duckTypes(columns)
	}
	return setup + fmt.Sprintf("FROM %s(%s, format = '%s', maximum_object_size = 134217728%s)", reader, files, layout,
		types)
}

// maxNamedFiles is how many files a command names. The command reads the names of more files from
// the manifest, because a shell accepts a command of 128 kB at most.
const maxNamedFiles = 10

// duckCSV reads CSV. The dialect is given, and columns stay text, because a column of numbers may
// have leading zeros, or other texts in the next file. The limits of a line and of an object are
// twice the limit of a record, because quotes and line feeds take two bytes. DuckDB allocates only
// what it needs.
const duckCSV = `FROM read_csv(%s, header = true, delim = ',', quote = '"', escape = '"', comment = '', skip = 0, ` +
	"all_varchar = true, max_line_size = 134217728)"

func optionsOf(m *export.Manifest) map[string]any {
	if m.Request == nil {
		return nil
	}
	return m.Request.Options
}

// duckTypes returns the types of JSON. Types that DuckDB finds would change texts that look like
// dates, and columns that are null in most files. Where any key is possible, DuckDB reads each
// record as one value instead.
func duckTypes(columns []fragment.Column) string {
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

// python returns Python that reads each split as a table of PyArrow, which has the name of the split.
// It reads with DuckDB whatever is not Parquet: the readers of JSON and CSV of pandas, Polars, PyArrow
// and Hugging Face Datasets take types from the values, so that 0017 becomes 17, 2026-10-05 a time and
// 1.10 becomes 1.1; some of them refuse or round numbers of free JSON, which DuckDB gives as text.
func python(m *export.Manifest, splits []*split) string {
	text := "import duckdb\n"
	for _, s := range splits {
		text += "\n" + s.name + " = duckdb.sql(r\"\"\"" + duckSQL(m, "", s.name) + "\"\"\").to_arrow_table()"
	}
	return text
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
