package app

import "testing"

func TestEveryNumberTakesItsLimits(t *testing.T) {
	t.Parallel()
	numbers := 0
	for _, v := range Variables() {
		for _, limit := range []string{v.Field.Tag.Get("min"), v.Field.Tag.Get("max")} {
			if limit == "" {
				continue
			}
			numbers++
			if _, err := Load([]string{v.Name + "=" + limit}); err != nil {
				t.Errorf("%s=%s: %v", v.Name, limit, err)
			}
		}
	}
	if numbers < 10 {
		t.Errorf("only %d limits", numbers)
	}
}
