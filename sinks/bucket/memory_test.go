package bucket

import "testing"

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	accept(t, func(t *testing.T) *Bucket { return openURL(t, "mem://") })
}

func TestMemoryStoresAreSeparate(t *testing.T) {
	t.Parallel()
	first, second := openURL(t, "mem://"), openURL(t, "mem://")
	defer first.Close()
	defer second.Close()
	if err := first.Create(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	expectKeys(t, first, "", "a")
	expectKeys(t, second, "")
}
