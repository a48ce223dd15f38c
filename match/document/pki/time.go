package pki

import (
	"errors"
	"time"

	"gateagent/internal/ber"
)

// parseTime reads UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5), also
// without seconds and with an offset, as older issuers write them.
func parseTime(t ber.TLV) (time.Time, error) {
	s := string(t.Value)
	layouts := []string{"20060102150405Z0700", "200601021504Z0700", "20060102150405.999Z0700", "20060102150405"}
	switch t.Tag {
	case ber.GeneralizedTime:
	case ber.UTCTime:
		if len(s) < 2 {
			return time.Time{}, errors.New("malformed time")
		}
		if s[:2] < "50" { // RFC 5280 section 4.1.2.5.1
			s = "20" + s
		} else {
			s = "19" + s
		}
	default:
		return time.Time{}, errors.New("not a time")
	}
	for _, l := range layouts {
		if v, err := time.Parse(l, s); err == nil {
			return v, nil
		}
	}
	return time.Time{}, errors.New("malformed time")
}
