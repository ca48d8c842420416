package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// Values of a body are those that encoding/json finds in it, wherever the buffer ends.
func TestABodyIsSplitIntoItsValues(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, ` `, `{}`, ` {} `, `{}{}`, "{}\n{}\n", `1 2`, `1`, `"a" "b"`, `"a\"b" {"\\":"}"}`,
		`[1,2]`, `[]`, `[ ]`, `[{},{}] `,
		`[{} , {}]`, `[[1],[2,[3]]]`, `[null,true,-1.5e3]`, `["]",",","\\\"]"]`, `null`, `{"a":[{"b":"}"}]}{"c":1}`,
		`[{}`, `[{},`, `[{},]`, `[,{}]`, `[{} {}]`, `[{}]{}`, `[{}] x`, `{`, `{"a":"`, `{"a":1}}`, `{"a":1]`,
		`[1}`, `nul`, `[1 2]`,
		`{"a" 1}`, `"`, `x`, `[x]`, `:`, `[`, `{},{}`, `[{},{}],`, `"a\`,
	} {
		for _, buffer := range []int{16, 64 << 10} {
			got, gotErr := split(body, buffer)
			want, wantErr := decode(body)
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Errorf("%s: %s, %v, want %s, %v", body, got, gotErr, want, wantErr)
			}
		}
	}
	for _, limit := range []int{6, 7} {
		in := &values{r: bufio.NewReaderSize(strings.NewReader(` {"a":1} {}`), 16), limit: limit,
			more: func(int64) error { return nil }}
		if _, err := in.next(); errors.Is(err, errTooLarge) != (limit < 7) {
			t.Errorf("7 bytes of %d: %v", limit, err)
		}
	}
}

func split(body string, buffer int) (all string, err error) {
	r := bufio.NewReaderSize(strings.NewReader(body), buffer)
	first, err := firstByte(r)
	if err != nil {
		return "", err
	}
	in := &values{r: r, array: first == '[', limit: 1000, more: func(int64) error { return nil }}
	if in.array {
		r.Discard(1)
	}
	for {
		value, err := in.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err == nil && !json.Valid(value) {
			err = errNoJSON
		}
		if err != nil {
			return all, err
		}
		all += string(value) + "|"
	}
}

func decode(body string) (all string, err error) {
	d := json.NewDecoder(strings.NewReader(body))
	array := strings.HasPrefix(strings.TrimSpace(body), "[")
	if array {
		d.Token()
	}
	for {
		if array && !d.More() {
			if _, err = d.Token(); err == nil {
				_, err = d.Token()
			}
		} else {
			var value json.RawMessage
			if err = d.Decode(&value); err == nil {
				all += string(value) + "|"
				continue
			}
		}
		switch {
		case err == nil:
			return all, errNoJSON // there is something after the array
		case errors.Is(err, io.EOF):
			return all, nil
		}
		return all, err
	}
}
