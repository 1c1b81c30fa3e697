// The look of report.html and the little that moves in it.
#include "analysis/report_parts.h"

namespace weft::analysis::report {

const char* const kStyle = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2330;--dim:#667085;--line:#dfe3ea;
--grid:#eceff4;--good:#12805c;--bad:#c5362b;--warn:#b25e09;--c1:#2f6fed;--c2:#e0861a;--c3:#1a9c82;
--c4:#9a5bd6;--c5:#c73e7d;--c6:#7d8796;--band:#2f6fed14;--badband:#c5362b1a;
--u0:#cfd6e1;--u1:#8fb4f5;--u2:#2f6fed;--u3:#e0861a;--u4:#c5362b}
@media (prefers-color-scheme:dark){:root{--bg:#10141b;--card:#181e28;--ink:#e4e9f2;--dim:#93a0b4;
--line:#2b3444;--grid:#232b39;--good:#41c795;--bad:#ff7b6e;--warn:#f0a95b;--c1:#6b9dff;--c2:#f2a74b;
--c3:#45c9ad;--c4:#bb8bf0;--c5:#ee78ad;--c6:#8d99ab;--band:#6b9dff1f;--badband:#ff7b6e26;
--u0:#3a4558;--u1:#44679f;--u2:#6b9dff;--u3:#f2a74b;--u4:#ff7b6e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Liberation Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0 0 2px;letter-spacing:-.01em}h2{font-size:18px;margin:0 0 12px}
h3{font-size:15px;margin:18px 0 6px}
p{margin:4px 0}.dim{color:var(--dim)}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;
margin-top:16px;overflow-x:auto}
.badge{display:inline-block;padding:3px 11px;border-radius:99px;font-weight:600;font-size:14px;
border:1.5px solid currentColor;margin-left:10px;vertical-align:4px}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin-top:16px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:9px 14px;flex:1 1 130px}
.tile b{display:block;font-size:19px;font-weight:600;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:13px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{font-weight:500;color:var(--dim);text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line)}
td{padding:5px 10px 5px 0;border-bottom:1px solid var(--grid);vertical-align:top}
tr:last-child td{border-bottom:0}.r{text-align:right}th.r{text-align:right}
.bar{background:var(--grid);border-radius:3px;height:9px;min-width:90px;margin-top:6px}
.bar i{display:block;height:9px;border-radius:3px;background:var(--c1)}.bar i.s{background:var(--c2)}
.bar+.bar{margin-top:3px}
ul.expect{list-style:none;margin:0;padding:0}ul.expect li{padding:7px 0 7px 28px;position:relative;
border-bottom:1px solid var(--grid)}ul.expect li:last-child{border:0}
ul.expect li::before{position:absolute;left:2px;font-weight:700}
ul.expect li.ok::before{content:"✓";color:var(--good)}ul.expect li.no::before{content:"✗";color:var(--bad)}ul.expect li.na::before{content:"–";color:var(--dim)}
svg{display:block;width:100%;height:auto;font-size:11px;font-family:inherit}
svg text{fill:var(--dim)}svg .label{fill:var(--ink);font-size:12px}
svg .grid{stroke:var(--grid)}svg .axis{stroke:var(--line)}
svg .c1{stroke:var(--c1)}svg .c2{stroke:var(--c2)}svg .c3{stroke:var(--c3)}svg .c4{stroke:var(--c4)}
svg .c5{stroke:var(--c5)}svg .c6{stroke:var(--c6)}svg .f{stroke:none}
svg .f.c1{fill:var(--c1)}svg .f.c2{fill:var(--c2)}svg .f.c3{fill:var(--c3)}svg .f.c4{fill:var(--c4)}
svg .f.c5{fill:var(--c5)}svg .f.c6{fill:var(--c6)}svg .area{opacity:.16}
svg .l{fill:none;stroke-width:1.6;stroke-linejoin:round}
svg .band{fill:var(--band)}svg .badband{fill:var(--badband)}svg .mark{stroke:var(--dim);stroke-dasharray:3 3}
svg .cursor{stroke:var(--dim);visibility:hidden}
svg .u0{stroke:var(--u0)}svg .u1{stroke:var(--u1)}svg .u2{stroke:var(--u2)}svg .u3{stroke:var(--u3)}
svg .u4{stroke:var(--u4)}svg .link:hover{stroke-width:7}
svg .node{fill:var(--card);stroke:var(--dim);stroke-width:1.2}svg .node.sw{fill:var(--grid)}
svg .vm{fill:var(--c3);opacity:.9}svg .vm.moved{fill:var(--c2)}svg .ghost{fill:none;stroke:var(--c2);stroke-dasharray:2 2}
svg .move{fill:none;stroke:var(--c2);stroke-width:1.6;stroke-dasharray:5 3}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--dim);margin:0 0 4px}
.legend i{display:inline-block;width:14px;height:4px;border-radius:2px;margin-right:6px;vertical-align:3px}
.k1{background:var(--c1)}.k2{background:var(--c2)}.k3{background:var(--c3)}.k4{background:var(--c4)}
.k5{background:var(--c5)}.k6{background:var(--c6)}.ku0{background:var(--u0)}.ku1{background:var(--u1)}
.ku2{background:var(--u2)}.ku3{background:var(--u3)}.ku4{background:var(--u4)}
#tip{position:fixed;pointer-events:none;background:var(--ink);color:var(--card);padding:5px 9px;
border-radius:6px;font-size:12.5px;line-height:1.4;visibility:hidden;white-space:pre;z-index:9;
font-variant-numeric:tabular-nums}
code{font:13px/1.4 ui-monospace,"DejaVu Sans Mono",monospace}
footer{color:var(--dim);font-size:13px;margin-top:20px}
)css";

// Tooltips: each chart carries its columns as JSON in data-chart.
const char* const kScript = R"js(
(function(){
var tip=document.getElementById('tip');
function time(v){return v>=1e12?(v/1e12).toPrecision(3)+' s':v>=1e9?(v/1e9).toPrecision(3)+' ms':
v>=1e6?(v/1e6).toPrecision(3)+' µs':(v/1e3).toPrecision(3)+' ns';}
function show(v){if(v>=1e9)return (v/1e9).toPrecision(3)+' G';if(v>=1e6)return (v/1e6).toPrecision(3)+' M';
if(v>=1e4)return (v/1e3).toPrecision(3)+' k';return String(Math.round(v*10)/10);}
document.querySelectorAll('svg[data-chart]').forEach(function(svg){
var d=JSON.parse(svg.getAttribute('data-chart')),cursor=svg.querySelector('.cursor');
svg.addEventListener('mousemove',function(e){
var box=svg.getBoundingClientRect(),x=(e.clientX-box.left)/box.width*d.width;
var t=(x-d.left)/(d.right-d.left);if(t<0||t>=1){return hide();}
var i=Math.min(Math.floor(t*d.end/d.step),d.series[0].values.length-1);
var text=(i*d.step).toFixed(d.digits)+' s';
d.series.forEach(function(s){text+='\n'+s.name+': '+(d.unit==' ps'?time(s.values[i]):show(s.values[i]*d.scale)+d.unit);});
cursor.setAttribute('x1',x);cursor.setAttribute('x2',x);cursor.style.visibility='visible';
tip.textContent=text;tip.style.visibility='visible';
tip.style.left=Math.min(e.clientX+14,innerWidth-tip.offsetWidth-8)+'px';tip.style.top=(e.clientY+14)+'px';});
function hide(){tip.style.visibility='hidden';cursor.style.visibility='hidden';}
svg.addEventListener('mouseleave',hide);});
document.documentElement.setAttribute('data-ready','1');
})();
)js";

}  // namespace weft::analysis::report
