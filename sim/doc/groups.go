package doc

import (
	"strings"

	"gateagent/internal/ber"
)

// groupTags are the file tags of DG1 to DG16 (ICAO 9303-10 table 38).
var groupTags = [17]byte{0, 0x61, 0x75, 0x63, 0x76, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x70}

// com lists the data groups (ICAO 9303-10 section 4.6.1).
// version is that of the LDS, 0107 or 0108, which follows the security object.
func com(groups []int, version string) []byte {
	var tags []byte
	for _, n := range groups {
		tags = append(tags, groupTags[n])
	}
	return ber.Make(0x60,
		ber.Make(0x5F01, []byte(version)),
		ber.Make(0x5F36, []byte("040000")),
		ber.Make(0x5C, tags))
}

// dg1 holds the MRZ (ICAO 9303-10 section 4.7.1).
func dg1(lines []string) []byte {
	return ber.Make(0x61, ber.Make(0x5F1F, []byte(strings.Join(lines, ""))))
}

// dg11 holds additional personal details (ICAO 9303-10 section 4.7.11).
func dg11(p Person, personalNumber string, full bool) []byte {
	d := details{}
	d.add(0x5F0E, strings.ToUpper(p.Surname)+"<<"+strings.ToUpper(p.Given))
	if full {
		d.list(0x5F0F, "MUSTER<<ERIKA", "MUSTER<<MARIA")
	}
	d.add(0x5F10, personalNumber)
	d.add(0x5F2B, p.Birth.Format("20060102"))
	d.add(0x5F11, p.Place)
	if full {
		d.add(0x5F42, "1 Sample Street<Sample Town")
		d.add(0x5F12, "0123456789")
		d.add(0x5F13, "Sampler")
		d.add(0x5F14, "Dr.")
		d.add(0x5F15, "Simulated person")
		d.add(0x5F18, "Simulated custody")
	}
	return d.group(0x6B)
}

// dg12 holds additional document details (ICAO 9303-10 section 4.7.12).
func dg12(f *Profile) []byte {
	d := details{}
	d.add(0x5F19, "Simulated issuing authority")
	d.add(0x5F26, f.Issued.Format("20060102"))
	if f.FullDetails {
		d.list(0x5F1A, "MUSTER<<MAX", "MUSTER<<MORITZ")
		d.add(0x5F1B, "Simulated endorsement")
		d.add(0x5F1C, "Simulated tax requirement")
		d.add(0x5F55, f.Issued.Format("20060102")+"120000")
		d.add(0x5F56, "SIM0001")
	}
	return d.group(0x6C)
}

// details are a list of tags and the elements that it announces.
type details struct {
	tags  []byte
	parts [][]byte
}

func (d *details) add(tag uint32, v string) {
	d.tags = append(d.tags, byte(tag>>8), byte(tag))
	d.parts = append(d.parts, ber.Make(tag, []byte(v)))
}

// list adds several values of one kind, wrapped in A0 with their number.
func (d *details) list(tag uint32, values ...string) {
	d.tags = append(d.tags, byte(tag>>8), byte(tag))
	parts := [][]byte{ber.Make(ber.Integer, []byte{byte(len(values))})}
	for _, v := range values {
		parts = append(parts, ber.Make(tag, []byte(v)))
	}
	d.parts = append(d.parts, ber.Make(0xA0, parts...))
}

func (d *details) group(tag uint32) []byte {
	return ber.Make(tag, append([][]byte{ber.Make(0x5C, d.tags)}, d.parts...)...)
}

// displayed holds a picture to be shown: the portrait in DG5, the signature in
// DG7 (ICAO 9303-10 sections 4.7.5 and 4.7.7).
func displayed(n int, picture []byte) []byte {
	inner := map[int]uint32{5: 0x5F40, 7: 0x5F43}[n]
	return ber.Make(uint32(groupTags[n]), ber.Make(ber.Integer, []byte{1}), ber.Make(inner, picture))
}

// dg16 names persons to notify (ICAO 9303-10 section 4.7.16).
func dg16() []byte {
	person := func(tag uint32, name string) []byte {
		return ber.Make(tag,
			ber.Make(0x5F50, []byte("20240301")),
			ber.Make(0x5F51, []byte(name)),
			ber.Make(0x5F52, []byte("0123456789")),
			ber.Make(0x5F53, []byte("1 SAMPLE STREET<SAMPLE TOWN")))
	}
	return ber.Make(0x70, ber.Make(ber.Integer, []byte{2}), person(0xA1, "MUSTER<<ERIKA"), person(0xA2, "MUSTER<<MAX"))
}

// dg13 holds Vietnam's national data: numbered values, of which some are
// absent for some people. Numbers 6 to 10 (ethnicity, religion, origin,
// residence, features), 13 (parents), 14 (spouse) and 16 are there so that a
// reader can be seen to skip them.
func dg13(p Person, f *Profile) []byte {
	text := func(n int, v string) []byte { return seq(smallInt(n), ber.Make(ber.UTF8String, []byte(v))) }
	list := [][]byte{
		text(1, f.fullNumber()), text(2, p.Name()), text(3, p.Birth.Format(vnDate)), text(4, sexWord(p.Sex)), text(5, "Việt Nam"),
		text(6, "Dân tộc mẫu"), text(7, "Tôn giáo mẫu"), text(8, p.Place), text(9, f.Address), text(10, "Không có đặc điểm"),
		text(11, f.Issued.Format(vnDate)), text(12, expiryWord(f)),
		seq(smallInt(13), seq(
			seq(ber.Make(ber.UTF8String, []byte("Cha Giả Định"))),
			seq(ber.Make(ber.UTF8String, []byte("Mẹ Giả Định"))))),
		text(14, "Vợ hoặc chồng mẫu"),
	}
	if f.OldNumber != "" {
		list = append(list, text(15, f.OldNumber))
	}
	list = append(list, text(16, "0000000000"))
	// The order is that of the numbers, as on cards seen by public readers,
	// and not DER's.
	values := ber.Make(ber.Set, list...)
	return ber.Make(0x6D, seq(smallInt(1), oid("1.2.704.1000.1.1"), values))
}

const vnDate = "02/01/2006"

func sexWord(s string) string {
	if s == "F" {
		return "Nữ"
	}
	return "Nam"
}

func expiryWord(f *Profile) string {
	if f.Unlimited {
		return "Không thời hạn"
	}
	return f.Expires.Format(vnDate)
}
