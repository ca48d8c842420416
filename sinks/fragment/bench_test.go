package fragment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// runColumns are the columns of a canonical data set, the widest one.
func runColumns() []Column {
	tag := Column{Required: true}
	file := Column{Type: Struct, Required: true, Fields: []Column{{Name: "name"}, {Name: "size_bytes", Type: Integer},
		{Name: "direction", Dictionary: true}}}
	return []Column{
		{Name: "id", Required: true, Bloom: true}, {Name: "run_id", Required: true, Bloom: true}, {Name: "request_id"},
		{Name: "source", Required: true, Dictionary: true}, {Name: "app_id", Required: true, Dictionary: true},
		{Name: "app_name", Dictionary: true},
		{Name: "app_version", Dictionary: true}, {Name: "session_id"}, {Name: "user_id"}, {Name: "trigger", Dictionary: true},
		{Name: "status", Required: true, Dictionary: true},
		{Name: "started_at", Type: Time, Required: true}, {Name: "ended_at", Type: Time}, {Name: "updated_at", Type: Time,
			Required: true}, {Name: "latency_ms", Type: Integer},
		{Name: "question", Long: true}, {Name: "inputs", Type: Document}, {Name: "system_inputs", Type: Document},
		{Name: "messages", Type: Document},
		{Name: "tools", Type: Document}, {Name: "answer", Long: true}, {Name: "outputs", Type: Document},
		{Name: "reference", Long: true},
		{Name: "error", Type: Struct, Fields: []Column{{Name: "type", Dictionary: true}, {Name: "message", Long: true}}},
		{Name: "files", Type: List, Required: true, Element: &file},
		{Name: "feedback", Type: Struct, Fields: []Column{
			{Name: "rating", Dictionary: true}, {Name: "score", Type: Float}, {Name: "comment", Long: true},
			{Name: "tags", Type: List, Required: true, Element: &tag},
		}},
		{Name: "model", Dictionary: true}, {Name: "usage", Type: Struct,
			Fields: []Column{{Name: "input_tokens", Type: Integer}, {Name: "output_tokens", Type: Integer}}},
		{Name: "cost_usd", Type: Float}, {Name: "metadata", Type: Document, Required: true}, {Name: "cached", Type: Boolean},
		{Name: "trace_id"},
	}
}

func runSettings() Settings {
	return Settings{Columns: runColumns(), SortedBy: []string{"started_at", "run_id"},
		Metadata: map[string]string{"export_id": "e-1"}, CreatedBy: "millrace version 1.2.3 (build abc)"}
}

// runRecords makes n records of about size bytes. Their texts compress like prose.
func runRecords(n, size int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 4096)
	for i := range words {
		words[i] = strings.Map(func(rune) rune { return rune('a' + random.IntN(26)) }, strings.Repeat("x", 2+random.IntN(9)))
	}
	prose := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			b.WriteString(words[int(float64(len(words))*random.Float64()*random.Float64())])
			b.WriteString([]string{" ", " ", " ", ", ", ".\\n", " \\\"so\\\" "}[random.IntN(6)])
		}
		return b.String()
	}
	uuid := func() string {
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", random.Uint32(), random.Uint32()&0xffff, random.Uint32()&0xfff,
			random.Uint32()&0xfff, random.Uint64()&0xffffffffffff)
	}
	records := make([][]byte, n)
	for i := range records {
		at := int64(1_793_491_200_000 + i*911)
		text := func(ms int64) string { return string(jsonscan.AppendTime(nil, ms)) }
		question := prose(size / 5)
		records[i] = fmt.Appendf(nil,
			`{"id":"%s","run_id":"%s","request_id":"req-%d","source":"recipe",`+
				`"app_id":"math-tutor","app_name":"Math tutor","app_version":"v%d",`+
				`"session_id":null,"user_id":"u-%d","trigger":null,"status":"succeeded",`+
				`"started_at":%s,"ended_at":%s,"updated_at":%s,"latency_ms":%d,"question":"%s",`+
				`"inputs":{"question":"%s"},"system_inputs":null,"messages":null,"tools":null,`+
				`"answer":"%s","outputs":{"answer":"%d"},"reference":null,"error":null,"files":[],`+
				`"feedback":{"rating":"thumbsUp","score":%d.5,"comment":null,"tags":[]},"model":"m-1",`+
				`"usage":{"input_tokens":%d,"output_tokens":%d},"cost_usd":0.000%d1,`+
				`"metadata":{"benchmark":"problems","item":"%d"},"cached":true,"trace_id":null}`,
			uuid(), uuid(), i, random.IntN(5), random.IntN(1000), text(at), text(at+2150), text(at+2150), 2150, question,
			question, prose(size/5), i, i%3,
			random.IntN(5000), random.IntN(500), 1+random.IntN(900), i)
	}
	return records
}

func BenchmarkEncoders(b *testing.B) {
	records := runRecords(4096, 1100)
	for _, format := range formats {
		for _, compression := range compressions {
			b.Run(format+"/"+compression, func(b *testing.B) {
				e, err := NewEncoder(format, compression, runSettings())
				if err != nil {
					b.Fatal(err)
				}
				w := NewWriter(e, Limits{MaxBytes: 64 << 20}, func(int) (Destination, error) { return discard{}, nil })
				var bytes int64
				i := 0
				b.ReportAllocs()
				before := cpuTime()
				for b.Loop() {
					record := records[i%len(records)]
					if err := w.Write(record, 0); err != nil {
						b.Fatal(err)
					}
					bytes += int64(len(record)) + 1
					i++
				}
				if _, err := w.Close(); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(bytes / int64(b.N))
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
				// for a machine that does other work too
				b.ReportMetric(float64(bytes)/1e6/(cpuTime()-before).Seconds(), "MB/cpu-s")
			})
		}
	}
}

func BenchmarkReaders(b *testing.B) {
	for _, format := range formats {
		b.Run(format, func(b *testing.B) {
			e, _ := NewEncoder(format, Zstd, runSettings())
			records := runRecords(20_000, 1100)
			file := encode(b, e, records)
			size := 0
			for _, r := range records {
				size += len(r)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewReader(format, Zstd, bytes.NewReader(file), int64(len(file)))
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for ; ; n++ {
					if _, err := r.Next(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
				if r.Close(); n != len(records) {
					b.Fatal(n)
				}
			}
		})
	}
}

// cpuTime returns the CPU time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap returns by how many bytes the heap in use grows at most while f runs.
func heap(f func()) uint64 {
	for range 3 { // the second collection frees what pools hold
		debug.FreeOSMemory()
	}
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
			select {
			case <-done:
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(done)
	return <-peak - before.HeapInuse
}

// encode encodes records as one fragment.
func encode(t testing.TB, e Encoder, records [][]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := e.Open(&file); err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if err := e.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}
