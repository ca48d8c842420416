package jsonscan

// zeroTime is the layout of every time: RFC 3339 in UTC with milliseconds, in quotes.
const zeroTime = `"0000-00-00T00:00:00.000Z"`

// AppendTime appends milliseconds since 1970 as an RFC 3339 time in UTC with milliseconds. Years
// are 0 to
// 9999. With time.AppendFormat, half of the time of a record would go into its times.
func AppendTime(dst []byte, ms int64) []byte {
	const perDay = 86_400_000
	day := ms / perDay
	if ms%perDay < 0 {
		day--
	}
	rest := uint32(ms - day*perDay)
	year, month, date := civil(day)
	dst = append(dst, zeroTime...)
	b := dst[len(dst)-len(zeroTime)+1:]
	put2(b[0:], year/100)
	put2(b[2:], year%100)
	put2(b[5:], month)
	put2(b[8:], date)
	put2(b[11:], rest/3_600_000)
	put2(b[14:], rest/60_000%60)
	put2(b[17:], rest/1000%60)
	b[20] += byte(rest / 100 % 10)
	put2(b[21:], rest%100)
	return dst
}

// ParseTime reads a time as AppendTime writes it, with the quotes, and no other.
func ParseTime(token []byte) (ms int64, ok bool) {
	if len(token) != len(zeroTime) {
		return 0, false
	}
	for i := range zeroTime {
		if c := token[i]; zeroTime[i] == '0' && (c < '0' || c > '9') || zeroTime[i] != '0' && c != zeroTime[i] {
			return 0, false
		}
	}
	b := token[1:]
	year, month, date := get2(b[0:])*100+get2(b[2:]), get2(b[5:]), get2(b[8:])
	hour, minute, second := get2(b[11:]), get2(b[14:]), get2(b[17:])
	if month == 0 || month > 12 || date == 0 || date > 31 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	day := days(year, month, date)
	if y, m, d := civil(day); y != year || m != month || d != date {
		return 0, false // such as 30 February
	}
	seconds := day*86_400 + int64(hour*3600+minute*60+second)
	return seconds*1000 + int64(b[20]-'0')*100 + int64(get2(b[21:])), true
}

// put2 writes the last two decimal digits of n.
func put2(b []byte, n uint32) {
	_ = b[1]
	b[0], b[1] = '0'+byte(n/10%10), '0'+byte(n%10)
}

func get2(b []byte) uint32 {
	_ = b[1]
	return uint32(b[0]-'0')*10 + uint32(b[1]-'0')
}

// civil returns the date of a day since 1970, by the algorithm of
// https://howardhinnant.github.io/date_algorithms.html#civil_from_days. Its years start in March,
// so that the leap day is the last.
func civil(day int64) (year, month, date uint32) {
	z := uint32(day + 719_468) // since 0000-03-01
	if day < -719_468 {        // January and February of the year 0: as 400 years later
		z += 146_097
	}
	era := z / 146_097 // of 400 years
	d := z % 146_097
	y := (d - d/1460 + d/36_524 - d/146_096) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153 // 0 = March
	date = d - (153*m+2)/5 + 1
	year = y + era*400
	if m < 10 {
		month = m + 3
	} else {
		month, year = m-9, year+1
	}
	if day < -719_468 {
		year -= 400
	}
	return year, month, date
}

// days is the inverse of civil.
func days(year, month, date uint32) int64 {
	y := int64(year)
	m := month + 9 // 0 = March
	if month > 2 {
		m = month - 3
	} else {
		y--
	}
	y += 400 // so that it is not negative
	era := y / 400
	y %= 400
	return era*146_097 + y*365 + y/4 - y/100 + int64((153*m+2)/5+date-1) - 719_468 - 146_097
}
