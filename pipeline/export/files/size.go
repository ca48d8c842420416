package files

import "fmt"

// Size formats a number of bytes for people, in powers of 1024: 1.5 KiB. Commands, pages and
// Grafana show sizes in this style, and so does the function size of the pages' scripts.
func Size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/1024, 0
	for x >= 1023.5 && unit < 4 {
		x /= 1024
		unit++
	}
	if x < 10 {
		return fmt.Sprintf("%.1f %ciB", x, "KMGTP"[unit])
	}
	return fmt.Sprintf("%.0f %ciB", x, "KMGTP"[unit])
}
