package fragment

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

func TestTheWriterRollsEveryFormatAtItsRecords(t *testing.T) {
	t.Parallel()
	for _, format := range formats {
		for _, compression := range compressions {
			for records, want := range map[int][]int64{0: nil, 1: {1}, 149: {149}, 150: {150}, 151: {150, 1},
				301: {150, 150, 1}} {
				e, err := NewEncoder(format, compression, runSettings())
				if err != nil {
					t.Fatal(err)
				}
				var s shelf
				w := NewWriter(e, Limits{MaxRecords: 150, MaxBytes: 64 << 20}, s.open)
				all := runRecords(records, 200)
				for _, record := range all {
					if err := w.Write(record, 0); err != nil {
						t.Fatal(err)
					}
				}
				infos, err := w.Close()
				if err != nil {
					t.Fatal(err)
				}
				var got []int64
				for i, info := range infos {
					got = append(got, info.Records)
					body := s.fragments[i].body.Bytes()
					readIndependently(t, format, compression, runColumns(), body, all[:info.Records])
					readBack(t, format, compression, body, all[:info.Records])
					all = all[info.Records:]
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s/%s: %d records roll into %v", format, compression, records, got)
				}
			}
		}
	}
}

func TestSizesAreThoseBeforeCompression(t *testing.T) {
	t.Parallel()
	for _, format := range []string{JSONL, JSON, CSV} {
		for _, mark := range []bool{false, format != JSON} {
			plain, _ := NewEncoder(format, Uncompressed, Settings{Columns: runColumns(), ByteOrderMark: mark})
			zipped, _ := NewEncoder(format, Zstd, Settings{Columns: runColumns(), ByteOrderMark: mark})
			records := runRecords(20, 300)
			for n := range records {
				if _, err := encode(t, zipped, records[:n]), zipped.Open(io.Discard); err != nil {
					t.Fatal(err)
				}
				for _, record := range records[:n] {
					if err := zipped.Append(record); err != nil {
						t.Fatal(err)
					}
				}
				if got, want := zipped.SizeWith(records[n]), int64(len(encode(t, plain, records[:n+1]))); got != want {
					t.Fatalf("%s: %d records and one have %d bytes, said %d", format, n, want, got)
				}
			}
		}
	}
}

func TestAByteOrderMarkIsAtTheStartOfEveryFragmentThatWantsOne(t *testing.T) {
	t.Parallel()
	for _, format := range []string{JSONL, CSV} {
		e, err := NewEncoder(format, Uncompressed, Settings{Columns: []Column{{Name: "a"}}, ByteOrderMark: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			file := encode(t, e, lines(`{"a":"b"}`))
			if !bytes.HasPrefix(file, []byte("\xef\xbb\xbf")) || bytes.Count(file, []byte(jsonscan.ByteOrderMark)) != 1 {
				t.Errorf("%s: %q", format, file)
			}
			readBack(t, format, Uncompressed, file, lines(`{"a":"b"}`))
		}
	}
}

func TestCSVIsAsTheRFCAndSpreadsheetsWantIt(t *testing.T) {
	t.Parallel()
	columns := []Column{{Name: "=text"}, {Name: "n", Type: Integer}, {Name: "x", Type: Float},
		{Name: "s", Type: Struct, Fields: []Column{{Name: "t"}}}, {Name: "l", Type: List, Element: &Column{}},
		{Name: "d", Type: Document}}
	records := lines(
		`{"=text":"=1+1","n":-1,"x":-1.5,"s":{"t":"@x"},"l":["-a"],"d":-5}`,
		`{"=text":"\t","n":0,"x":0.0,"s":null,"l":[],"d":"=1"}`,
		`{"=text":"a\rb","n":null,"x":null,"s":{"t":"\r"},"l":null,"d":null}`,
		`{"=text":"a,\"b\"\r\n","n":1,"x":1.0,"s":{"t":""},"l":["x","y"],"d":{"a":1}}`,
		`{"=text":"'=1+1","n":1,"x":1.0,"s":{"t":"a'"},"l":["'x"],"d":"'"}`)
	for excel, want := range map[bool]string{
		true: "=text,n,x,s_t,l,d\r\n" +
			"'=1+1,-1,-1.5,'@x,\"[\"\"-a\"\"]\",-5\r\n'\t,0,0.0,,[],\"\"\"=1\"\"\"\r\n" +
			"\"a\rb\",,,\"'\r\",,\r\n\"a,\"\"b\"\"\r\n\",1,1.0,,\"[\"\"x\"\",\"\"y\"\"]\",\"{\"\"a\"\":1}\"\r\n" +
			"''=1+1,1,1.0,a',\"[\"\"'x\"\"]\",\"\"\"'\"\"\"\r\n",
		false: "=text,n,x,s_t,l,d\r\n" +
			"=1+1,-1,-1.5,@x,\"[\"\"-a\"\"]\",-5\r\n\t,0,0.0,,[],\"\"\"=1\"\"\"\r\n" +
			"\"a\rb\",,,\"\r\",,\r\n\"a,\"\"b\"\"\r\n\",1,1.0,,\"[\"\"x\"\",\"\"y\"\"]\",\"{\"\"a\"\":1}\"\r\n" +
			"'=1+1,1,1.0,a',\"[\"\"'x\"\"]\",\"\"\"'\"\"\"\r\n",
	} {
		e, err := NewEncoder(CSV, Uncompressed, Settings{Columns: columns, Excel: excel})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(encode(t, e, records)); got != want {
			t.Errorf("excel %v:\n%q, want\n%q", excel, got, want)
		}
	}
}

// The tools that people have must read the streams too. Without them the test is skipped, or fails
// if CI=true.
func TestCommandLineToolsDecompressTheStreams(t *testing.T) {
	t.Parallel()
	for compression, tool := range map[string]string{Gzip: "gzip", Zstd: "zstd"} {
		path, err := exec.LookPath(tool)
		if err != nil && os.Getenv("CI") != "true" {
			t.Skip(err)
		} else if err != nil {
			t.Fatal(err)
		}
		for _, records := range [][][]byte{nil, runRecords(3000, 1100)} {
			plain, _ := NewEncoder(JSONL, Uncompressed, Settings{})
			zipped, _ := NewEncoder(JSONL, compression, Settings{})
			cmd := exec.Command(path, "-d", "-c")
			cmd.Stdin = bytes.NewReader(encode(t, zipped, records))
			if out, err := cmd.Output(); err != nil || !bytes.Equal(out, encode(t, plain, records)) {
				t.Errorf("%s of %d records: %d bytes, %v", tool, len(records), len(out), err)
			}
		}
	}
}

func TestADamagedFragmentIsAnErrorThatSaysWhere(t *testing.T) {
	t.Parallel()
	secret := `{"a":"secret","b":`
	for _, test := range []struct{ format, file, want string }{
		{JSONL, "{}\n{}\n{\"a\":1", "after 2 records: the last line has no end"},
		{JSONL, "{}\n" + secret + "}\n", "after 1 records: not JSON: a value is missing at byte 18"},
		{JSONL, "{}\n[1]\n", "after 1 records: the next line is not a JSON object"},
		{JSONL, "{} {}\n", "the end is missing at byte 3"},
		{JSON, "", "after 0 records: the array does not begin with ["},
		{JSON, `{"secret":1}`, "does not begin with ["},
		{JSON, "[\n{},\n{}\n", "after 2 records: the array does not end with ]"},
		{JSON, "[\n{},\n" + secret + "}\n]\n", "after 1 records: the array has no record at byte"},
		{JSON, "[\n1\n]\n", "not an object"},
		{JSON, "[]\n[]\n", "goes on after its ]"},
		{CSV, "", "no header row"},
		{CSV, "a,b\r\n1,2\r\n3\r\n", "after 1 records: record on line 3: wrong number of fields"},
		{CSV, "a\r\n\"secret\r\n", "line"},
		{Parquet, "", "not Parquet"},
		{Parquet, "PAR1secret00000000PAR1", "not Parquet, or cut short"},
	} {
		err := readAll(test.format, Uncompressed, []byte(test.file))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %q: error %v, want %q", test.format, test.file, err, test.want)
		}
		if _, err := Count(test.format, Uncompressed, strings.NewReader(test.file), int64(len(test.file))); err == nil {
			t.Errorf("%s %q is counted", test.format, test.file)
		}
	}
}

// readAll reads a fragment to its end.
func readAll(format, compression string, file []byte) error {
	r, err := NewReader(format, compression, bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) && err.Error() == io.EOF.Error() { // a wrapped io.EOF is a fault
			return nil
		}
		if err != nil {
			return err
		}
		if !json.Valid(record) {
			return errors.New("not JSON")
		}
	}
}

// Whatever is missing or changed in a fragment, a reader ends with an error or with records. It
// never panics and never runs forever.
func TestNoDamageMakesAReaderPanic(t *testing.T) {
	t.Parallel()
	places := 1000
	if testing.Short() {
		places = 100
	}
	for _, format := range formats {
		for _, compression := range compressions {
			e, err := NewEncoder(format, compression, Settings{Columns: typeColumns()})
			if err != nil {
				t.Fatal(err)
			}
			file := encode(t, e, typeRecords())
			for n := 0; n < len(file); n += 1 + len(file)/places {
				err := readAll(format, compression, file[:n])
				if err == nil && (compression != Uncompressed && n > 0 || format == Parquet || format == JSON && n < len(file)-1) {
					t.Errorf("%s/%s: the first %d bytes of %d read as whole", format, compression, n, len(file))
				}
				changed := bytes.Clone(file)
				changed[n] ^= 0x55
				_ = readAll(format, compression, changed) // some changes make other valid records
			}
		}
	}
}
