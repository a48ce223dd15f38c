package manifest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// bigTelegrams and bigInterchange are lists of flights of 200.
func bigTelegrams(flights int) string {
	var b strings.Builder
	for f := range flights {
		fmt.Fprintf(&b, ".HDQRMVN 270900\nPNL\nVN%d/01MAR SGN PART1\n-HAN200Y\n", f+1)
		for i := range 200 {
			fmt.Fprintf(&b, "1NGUYEN/VANANMR\n.L/A%05d/VN\n.R/TKNE HK1 7382400000001/1\n.R/DOCS HK1/P/VNM/C%03d%04d/VNM/17AUG99/M/01JAN31/NGUYEN/VAN AN\n", i, i, f)
		}
		b.WriteString("ENDPNL\n")
	}
	return b.String()
}

func bigInterchange(flights int) string {
	var b strings.Builder
	b.WriteString("UNB+UNOA:4+A+B+260301:0600+9'\n")
	for f := range flights {
		fmt.Fprintf(&b, "UNH+%d+PAXLST:D:05B:UN:IATA'\nBGM+745'\nTDT+20+VN%d'\nLOC+125+SGN'\nDTM+189:2603011200:201'\n", f, f+1)
		for i := range 200 {
			fmt.Fprintf(&b, "NAD+FL+++NGUYEN:VAN:AN'\nATT+2++M'\nDTM+329:990817'\nLOC+178+SGN'\nLOC+179+HAN'\nNAT+2+VNM'\nRFF+AVF:ABC123'\nDOC+P:110:111+C%03d%04d'\nDTM+36:300820'\nLOC+91+VNM'\n", i, f)
		}
		fmt.Fprintf(&b, "CNT+42:200'\nUNT+2007+%d'\n", f)
	}
	fmt.Fprintf(&b, "UNZ+%d+9'\n", flights)
	return b.String()
}

// BenchmarkRead reads lists of 20,000 travellers, without a builder behind it.
// What telegrams keep until the last was read is reported, too.
func BenchmarkRead(b *testing.B) {
	const flights = 100
	for name, text := range map[string]string{"pnl": bigTelegrams(flights), "paxlst": bigInterchange(flights)} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				r := NewReader(testOptions(), counting{})
				runtime.GC()
				runtime.ReadMemStats(&before)
				if err := r.Read(b.Context(), name, strings.NewReader(text), Auto, nil); err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				if err := r.Finish(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(200*flights), "ns/traveller")
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/(200*flights), "kept-bytes/traveller")
		})
	}
}
