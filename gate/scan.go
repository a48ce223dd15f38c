package gate

import "gateagent/gate/mrz"

// ScanKind says what a scanner line turned out to be.
type ScanKind uint8

// Kinds of scans. The zero value is the unknown one.
const (
	ScanUnknown ScanKind = iota
	ScanMRZ
	ScanVietnamID
	ScanCAN // keyed in by hand
)

// Scan is what one scan (or a keyed-in number) says. drivers/scan makes it.
type Scan struct {
	Kind    ScanKind
	MRZ     *mrz.Document // for ScanMRZ
	Vietnam *VietnamQR    // for ScanVietnamID
	Key     AccessKey
}

// VietnamQR is the QR code of the Vietnamese ID card. The address is dropped
// while parsing and has no place here.
type VietnamQR struct {
	Number    string // twelve digits
	OldNumber string // nine digits or empty
	Name      string // UTF-8, with diacritics
	Birth     string // 1999-08-17
	Sex       string // "M", "F" or "" when neither Nam nor Nữ
	Issue     string // 2021-08-17
}

// Wipe forgets the scan's secrets.
func (s *Scan) Wipe() {
	s.Key.Wipe()
	*s = Scan{}
}
