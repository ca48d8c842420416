package strictjson_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// keysOf is an object with n keys, of which write writes each.
func keysOf(n int, write func(i int) string) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%s":%d`, write(i), i%10)
	}
	return []byte("{" + b.String()[1:] + "}")
}

func TestADuplicateIsFoundAmongAnyNumberOfKeys(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(int) string{
		"plain":      func(i int) string { return fmt.Sprint("k", i) },
		"escapes":    func(i int) string { return fmt.Sprintf(`\u00e9%d\"\\`, i) },
		"confusable": func(i int) string { return strings.Repeat(`\\`, i/2%40) + strings.Repeat(`\"`, i%2) + fmt.Sprint(i) },
	} {
		for _, n := range []int{1, 31, 32, 33, 64, 95, 96, 97, 128, 1000} {
			if err := strictjson.Check(keysOf(n, write)); err != nil {
				t.Errorf("%s, %d keys: %v", name, n, err)
			}
			for _, again := range []int{0, n / 2, n - 1} {
				// the same key as another text
				plain := keysOf(n, write)
				doc := append(plain[:len(plain)-1], `,"`+write(again)+`":1}`...)
				var r *strictjson.Refusal
				if err := strictjson.Check(doc); !errors.As(err, &r) || r.Code != strictjson.DuplicateKey {
					t.Errorf("%s, %d keys and number %d again: %v", name, n, again, err)
				}
			}
		}
	}
	same := keysOf(100, func(i int) string { return fmt.Sprint("k", i) })
	var r *strictjson.Refusal
	if err := strictjson.Check(append(same[:len(same)-1], `,"\u006b77":1}`...)); !errors.As(err, &r) ||
		r.Code != strictjson.DuplicateKey {
		t.Errorf("an escaped duplicate: %v", err)
	}
	// The text of one key is where the other has its escapes.
	for _, pair := range [][2]string{{`a\"b`, `a\\`}, {`a`, `a\":`}} {
		doc := keysOf(100, func(i int) string { return fmt.Sprint("k", i) })
		doc = append(doc[:len(doc)-1], `,"`+pair[0]+`":"","`+pair[1]+`":1}`...)
		if err := strictjson.Check(doc); err != nil {
			t.Errorf("%s and %s: %v", pair[0], pair[1], err)
		}
	}
}

// A document of nothing but keys needs less than twice its size to be checked.
func TestManyKeysTakeLittleMemory(t *testing.T) {
	doc := keysOf(400_000, func(i int) string { return fmt.Sprintf("%06x", i) })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := strictjson.Reader{Borrow: true}
	r.Reset(doc, "", strictjson.MaxDepth)
	if err := r.Skip(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*uint64(len(doc)) {
		t.Errorf("%d bytes were allocated for a document of %d", took, len(doc))
	}
}
