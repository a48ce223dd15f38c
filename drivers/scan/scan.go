// Package scan says what a scanner line is: a machine readable zone, the QR
// code of the Vietnamese identity card, or unknown. From it comes the key
// that opens the chip. It judges nothing: wrong check digits are reported,
// not hidden, and the QR code is unsigned.
//
// Everything here is a traveller's data. Nothing is logged, errors never
// repeat what was read, and the input is wiped once it has been understood.
package scan

import (
	"bytes"
	"errors"
	"strings"

	"gateagent/gate"
	"gateagent/gate/mrz"
)

// maxFrame bounds what is looked at: QR codes of newer cards with a long
// address stay far below it.
const maxFrame = 1024

// canLength is the length of a card access number (BSI TR-03110 part 2,
// section 3.3: six digits on identity cards).
const canLength = 6

// Recognise says what a frame of a scanner is, and wipes the frame. What it
// does not know for certain is gate.ScanUnknown without any content.
func Recognise(frame []byte) gate.Scan {
	defer clear(frame)
	if len(frame) > maxFrame {
		return gate.Scan{}
	}
	for _, body := range unwrap(frame) {
		if s := content(body); s.Kind != gate.ScanUnknown {
			return s
		}
	}
	return gate.Scan{}
}

func content(body []byte) gate.Scan {
	if bytes.IndexByte(body, '|') >= 0 {
		return vietnam(body)
	}
	return zone(body)
}

// FromMRZ takes a machine readable zone that was typed or handed over as
// text, lines separated by line ends or slashes.
func FromMRZ(text string) (gate.Scan, error) {
	d, err := mrz.Parse(text)
	if err != nil {
		return gate.Scan{}, err
	}
	return gate.Scan{Kind: gate.ScanMRZ, MRZ: d, Key: gate.AccessKey{MRZInfo: d.Info()}}, nil
}

// FromQR takes the content of a Vietnamese identity card's QR code that was
// handed over as text.
func FromQR(text string) (gate.Scan, error) {
	if len(text) > maxFrame {
		return gate.Scan{}, errNotQR
	}
	s := Recognise([]byte(text))
	if s.Kind != gate.ScanVietnamID {
		s.Wipe()
		return gate.Scan{}, errNotQR
	}
	return s, nil
}

var errNotQR = errors.New("not the QR code of a Vietnamese identity card: expected number|old number|name|ddMMyyyy|sex|address|ddMMyyyy")

// FromCAN takes a card access number that was keyed in.
func FromCAN(can string) (gate.Scan, error) {
	can = strings.TrimSpace(can)
	if len(can) != canLength || !digits([]byte(can)) {
		return gate.Scan{}, errors.New("card access number: six digits are needed")
	}
	return gate.Scan{Kind: gate.ScanCAN, Key: gate.AccessKey{CAN: gate.Secret(can)}}, nil
}

// aim lists the symbologies whose identifier may stand in front (ISO/IEC
// 15424): Code 128, PDF417, QR, Data Matrix, Aztec, and o for OCR.
const aim = "cLQdzo"

// unwrap takes off what scanners put around the content: control characters
// left from framing, spaces, and the AIM identifier, a closing bracket, a
// letter and one modifier, which some scanners leave out. It gives every
// reading, the likeliest first.
func unwrap(b []byte) [][]byte {
	b = bytes.TrimFunc(b, margin)
	if len(b) <= 3 || b[0] != ']' || strings.IndexByte(aim, b[1]) < 0 {
		return [][]byte{b}
	}
	return [][]byte{bytes.TrimFunc(b[3:], margin), bytes.TrimFunc(b[2:], margin)}
}

// margin matches control characters and spaces; the replacement rune stands
// for invalid UTF-8 and is kept, so that it is refused.
func margin(r rune) bool { return r <= ' ' || r == 0x7f }

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// zone reads a machine readable zone. Document readers pad short lines with
// underscores and leave empty lines (RTE6701-OEM integration manual, 9.1.1.2);
// an underscore within a line is a character that was not read, which makes
// the zone unknown.
func zone(b []byte) gate.Scan {
	lines := bytes.FieldsFunc(b, func(r rune) bool { return r == '\r' || r == '\n' })
	kept := lines[:0]
	for _, l := range lines {
		l = bytes.TrimRight(bytes.TrimFunc(l, margin), "_ ")
		if len(l) > 0 {
			kept = append(kept, l)
		}
	}
	text := bytes.Join(kept, []byte{'\n'})
	defer clear(text)
	if bytes.IndexByte(text, '/') >= 0 { // a separator of people, not of scanners
		return gate.Scan{}
	}
	s, err := FromMRZ(string(text))
	if err != nil {
		return gate.Scan{}
	}
	return s
}
