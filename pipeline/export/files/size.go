package files

import "fmt"

// Size formats a number of bytes for people, in powers of 1000: 1.5 kB. Commands, pages and Grafana
// show sizes in this style, and so does the function size of the pages' scripts.
func Size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/1000, 0
	for x >= 999.5 && unit < 4 {
		x /= 1000
		unit++
	}
	if x < 9.95 {
		return fmt.Sprintf("%.1f %cB", x, "kMGTP"[unit])
	}
	return fmt.Sprintf("%.0f %cB", x, "kMGTP"[unit])
}
