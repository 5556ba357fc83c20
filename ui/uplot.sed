# What the page does not use of uPlot, taken out at build time, so that the
# bundler drops it: the legend, bars and splines, x/y mode, and time axes (the
# page has its own ticks).  A constant is put where a switch was; `tools/
# build_ui.sh` fails when the result differs from what was measured, so that a
# new uPlot is looked at.
/\(paths\.(stepped|bars|spline)/d
/const showLegend = /d
/let multiValLegend = /d
/multiValLegend = getMultiVals/d
s/\b(showLegend|multiValLegend|legend\.live|legend\.show|mode == 2)\b/false/g
s/\bmode == 1\b/true/g
/^const \[ timeIncrs(Ms|S)/d
/const _(timeAxisSplits|timeAxisVals|timeSeriesVal) /d
/uPlot\.(fmtDate|tzDate) /d
s/\b(let|const) isTime = .*;/\/\* no time axes \*\//
s/\bisTime\b/false/g
s/\b(scaleX|sx)\.ori == 0/true/g
s/\bscaleX\.ori == 1/false/g
s/\b(sc\.)?distr == (4|100)\b/false/g
s/\buPlot\.(addGap|clipGaps|orient|fmtNum|rangeNum|rangeLog|rangeAsinh|assign) +=.*//
/^\s*self\.(addSeries|delSeries|addBand|setBand|delBand|setSize|batch|posToIdx|valToIdx|redraw) = [a-zA-Z]+;/d
s/const cursorFocus = .*/\/\* no focus \*\//
s/\b(cursorFocus|cursor\.focus)\b/false/g
s/bands\.length > 0/false/g
s/\b(xScaleDistr|(sc|scale|scaleX)\.distr|distr) == 2\b/false/g
s/\b(sc|scale)\.log == 2\b/false/g
s/let \[ ?bandFillDir, ?bandClipDir ?\] = bandFillClipDirs\(.*/const bandFillDir = 0, bandClipDir = 0;/
s/bandClipDir != 0/false/g
s/xScaleDistr == 4/false/g
