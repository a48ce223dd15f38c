package doc

import (
	"math/rand/v2"
	"time"
)

// Person is an invented holder.
type Person struct {
	Surname, Given string // with diacritics, Vietnamese order: surname first
	Birth          time.Time
	Sex            string // "M", "F" or ""
	Nationality    string // three letters as in the MRZ, "D" for Germany
	Place          string // of birth
}

// Name gives surname and given names as Vietnam writes them.
func (p Person) Name() string {
	if p.Given == "" {
		return p.Surname
	}
	return p.Surname + " " + p.Given
}

type names struct {
	nationality            string
	surnames, men, women   []string
	places                 []string
	middleMan, middleWoman string
}

func vietnamese() names {
	return names{
		nationality: "VNM",
		surnames:    []string{"Nguyễn", "Trần", "Lê", "Phạm", "Đặng", "Vũ", "Bùi", "Đỗ", "Hồ", "Ngô"},
		men:         []string{"Mẫu Thử", "Giả Định", "Minh Họa", "Tưởng Tượng", "Đức Thí"},
		women:       []string{"Mẫu Ảo", "Thí Điểm", "Minh Ví", "Ước Lệ", "Phỏng Nữ"},
		places:      []string{"Hà Nội", "Đà Nẵng", "Cần Thơ", "Hải Phòng", "Huế"},
		middleMan:   "Văn ", middleWoman: "Thị ",
	}
}

func foreign() []names {
	return []names{
		{nationality: "UTO", surnames: []string{"Eriksson", "Stevenson", "O'Sample"}, men: []string{"Peter John", "Test"}, women: []string{"Anna Maria", "Vera"}, places: []string{"Zenith", "Nowhere"}},
		{nationality: "D", surnames: []string{"Müller-Muster", "Beispiel", "Großmann"}, men: []string{"Jürgen", "Max"}, women: []string{"Erika", "Änne"}, places: []string{"Musterstadt"}},
		{nationality: "FRA", surnames: []string{"Exemple", "Léçon"}, men: []string{"François"}, women: []string{"Zoé Hélène"}, places: []string{"Villefictive"}},
		{nationality: "NLD", surnames: []string{"Van Voorbeeld"}, men: []string{"Joost"}, women: []string{"Mieke"}, places: []string{"Voorbeeldstad"}},
	}
}

// Citizen invents Vietnamese citizen number i; the same world invents the
// same person.
func (w *World) Citizen(i int) Person { return w.person(vietnamese(), i) }

// Foreigner invents traveller number i of a foreign state.
func (w *World) Foreigner(i int) Person {
	all := foreign()
	return w.person(all[((i%len(all))+len(all))%len(all)], i)
}

func (w *World) person(n names, i int) Person {
	r := rand.New(rand.NewPCG(uint64(w.seed), uint64(i)^0x9E3779B97F4A7C15))
	pick := func(s []string) string { return s[r.IntN(len(s))] }
	p := Person{Nationality: n.nationality, Sex: "M", Surname: pick(n.surnames), Place: pick(n.places)}
	given := n.middleMan + pick(n.men)
	if r.IntN(2) == 0 {
		p.Sex, given = "F", n.middleWoman+pick(n.women)
	}
	p.Given = given
	p.Birth = time.Date(1955+r.IntN(50), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
	return p
}
