package barrier

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// expand writes a template as bytes and says whether it stated the time.
func expand(template string, d time.Duration) (out []byte, hasTime bool, err error) {
	if len(template) > maxTemplate {
		return nil, false, fmt.Errorf("longer than %d characters", maxTemplate)
	}
	for rest := template; rest != ""; {
		c := rest[0]
		rest = rest[1:]
		switch c {
		case '\\':
			var b byte
			if b, rest, err = escape(rest); err != nil {
				return nil, false, err
			}
			out = append(out, b)
		case '%':
			if strings.HasPrefix(rest, "%") {
				out, rest = append(out, '%'), rest[1:]
				continue
			}
			field, after, ok := strings.Cut(rest, "}")
			if !ok || !strings.HasPrefix(field, "{") {
				return nil, false, errors.New(`"%" must be followed by "%" or a time such as {ms}`)
			}
			b, err := duration(field[1:], d)
			if err != nil {
				return nil, false, err
			}
			out, rest, hasTime = append(out, b...), after, true
		default:
			out = append(out, c)
		}
	}
	return out, hasTime, nil
}

func escape(rest string) (byte, string, error) {
	if rest == "" {
		return 0, "", errors.New(`"\" at the end`)
	}
	switch rest[0] {
	case 'r':
		return '\r', rest[1:], nil
	case 'n':
		return '\n', rest[1:], nil
	case 't':
		return '\t', rest[1:], nil
	case '\\':
		return '\\', rest[1:], nil
	case 'x':
		if len(rest) >= 3 {
			if n, err := strconv.ParseUint(rest[1:3], 16, 8); err == nil {
				return byte(n), rest[3:], nil
			}
		}
		return 0, "", errors.New(`"\x" needs two hexadecimal digits`)
	}
	return 0, "", fmt.Errorf(`"\%c" is unknown: use \r \n \t \\ \xNN`, rest[0])
}

// duration writes the time in the unit that the field names. A time that the
// unit cannot express exactly is refused rather than rounded.
func duration(field string, d time.Duration) ([]byte, error) {
	unit, width, _ := strings.Cut(field, ":")
	units := map[string]time.Duration{"ms": time.Millisecond, "ds": 100 * time.Millisecond, "s": time.Second}
	u, ok := units[unit]
	if !ok {
		return nil, fmt.Errorf("time unit %q is unknown: use ms, ds or s", unit)
	}
	if d%u != 0 {
		return nil, fmt.Errorf("a pulse of %v is no whole number of %v", d, u)
	}
	n := int(d / u)
	switch width {
	case "":
		return strconv.AppendInt(nil, int64(n), 10), nil
	case "1":
		if n <= 0xFF {
			return []byte{byte(n)}, nil
		}
	case "2":
		if n <= 0xFFFF {
			return []byte{byte(n >> 8), byte(n)}, nil
		}
	default:
		return nil, fmt.Errorf("width %q is unknown: use 1 or 2 bytes", width)
	}
	return nil, fmt.Errorf("a pulse of %v does not fit into %s byte(s) of %v", d, width, u)
}
