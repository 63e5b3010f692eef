"""The pixel kernels against a C++ reference, an integer one in NumPy and exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.frame import plane_shapes
from edge_vss.runtime._native import pixels

FORMATS = ("nv12", "i420", "yuyv", "bgr", "rgb", "grey")
FITS = ("stretch", "letterbox", "crop")
KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
ISAS = pixels.supported_isas()
DTYPES = {"float32": np.float32, "uint8": np.uint8, "int8": np.int8}


# --- frames -----------------------------------------------------------------------------------------------------------


def padded_plane(rng: np.random.Generator, shape: tuple[int, ...], padding: int, smooth: bool) -> np.ndarray:
    """A random uint8 plane whose rows end before their stride does."""
    row = int(np.prod(shape[1:]))
    store = rng.integers(0, 256, (shape[0], row + padding), np.uint8)
    if smooth:
        store = np.clip(128 + rng.normal(0, 3, store.shape).cumsum(axis=1), 0, 255).astype(np.uint8)
    plane = np.lib.stride_tricks.as_strided(store, shape, (store.strides[0], *np.zeros(shape[1:], np.uint8).strides))
    assert np.shares_memory(plane, store)
    return plane


def make_planes(rng, format: str, height: int, width: int, padding: int = 0, smooth: bool = False) -> list[np.ndarray]:
    return [padded_plane(rng, shape, padding, smooth) for shape in plane_shapes(format, height, width)]


def component_planes(format: str, planes: list[np.ndarray]) -> list[np.ndarray]:
    """R, G, B or Y, U, V or Y, each as a plane of its own resolution."""
    first = planes[0]
    return {
        "rgb": lambda: [first[..., i] for i in range(3)],
        "bgr": lambda: [first[..., i] for i in (2, 1, 0)],
        "grey": lambda: [first],
        "nv12": lambda: [first, planes[1][..., 0], planes[1][..., 1]],
        "i420": lambda: list(planes),
        "yuyv": lambda: [first[..., 0], first[:, 0::2, 1], first[:, 1::2, 1]],
    }[format]()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One pre-processing problem."""

    format: str
    source: tuple[int, int]
    network: tuple[int, int]
    fit: str = "stretch"
    matrix: str = "bt601"
    range: str = "limited"
    padding: int = 0
    seed: int = 0
    smooth: bool = False
    options: dict = field(default_factory=dict)

    def preprocessor(self, isa: str | None = None):
        return pixels.Preprocessor(self.format, self.source, self.network, fit=self.fit, isa=isa, **self.options)

    def planes(self) -> list[np.ndarray]:
        return make_planes(np.random.default_rng(self.seed), self.format, *self.source, self.padding, self.smooth)

    def empty(self) -> np.ndarray:
        shape = (1, 3, *self.network) if self.options.get("layout", "nchw") == "nchw" else (1, *self.network, 3)
        out = np.empty(shape, DTYPES[self.options.get("type", "float32")])
        out.view(np.uint8).fill(0xA5)
        return out

    def run(self, isa: str | None = None, pool=None, reference: bool = False) -> np.ndarray:
        out, made = self.empty(), self.preprocessor(isa)
        extra = {} if reference else {"pool": pool}
        (made.reference if reference else made.run)(self.planes(), out, matrix=self.matrix, range=self.range, **extra)
        return out


# --- the same arithmetic in NumPy integers ----------------------------------------------------------------------------


def mulhrs(a, b):
    return (a.astype(np.int64) * b + (1 << 14)) >> 15


def fitted(source: tuple[int, int], network: tuple[int, int], fit: str):
    """Rectangles (y, x, h, w) of the source and of the network, from the rule in words."""
    (sh, sw), (nh, nw) = source, network

    def half_up(a, b):
        return (2 * a + b) // (2 * b)

    if fit == "stretch":
        return (0, 0, sh, sw), (0, 0, nh, nw)
    if fit == "letterbox":
        h, w = (max(1, half_up(sh * nw, sw)), nw) if sw * nh >= sh * nw else (nh, max(1, half_up(sw * nh, sh)))
        return (0, 0, sh, sw), ((nh - h) // 2, (nw - w) // 2, h, w)
    if sw * nh >= sh * nw:
        h, w = sh, min(sw, max(1, half_up(nw * sh, nh)))
    else:
        h, w = min(sh, max(1, half_up(nh * sw, nw))), sw
    return ((sh - h) // 2, (sw - w) // 2, h, w), (0, 0, nh, nw)


def positions(src_begin, src_size, dst_begin, dst_size, *, half: bool) -> np.ndarray:
    scale = np.float64(src_size) / np.float64(dst_size)
    offset = (0.5 - dst_begin) * scale + (src_begin - 0.5)
    at = np.arange(dst_begin, dst_begin + dst_size) * scale + offset
    first, last = src_begin, src_begin + src_size - 1
    if half:
        at, first, last = at * 0.5 - 0.25, src_begin // 2, (src_begin + src_size + 1) // 2 - 1
    return np.clip(at, first, last)


def fixed_point(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low = np.floor(at).astype(np.int64)
    weight = np.floor((at - low) * 32768 + 0.5).astype(np.int64)
    low, weight = np.where(weight == 32768, low + 1, low), np.where(weight == 32768, 0, weight)
    return low, np.where(weight > 0, low + 1, low), weight


def integer_levels(plane: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    (y0, y1, wy), (x0, x1, wx) = fixed_point(y), fixed_point(x)
    wide = plane.astype(np.int64) * 128
    rows = wide[:, x0] + mulhrs(wide[:, x1] - wide[:, x0], wx)
    return rows[y0] + mulhrs(rows[y1] - rows[y0], wy[:, None])


def coefficients(matrix: str, range: str) -> dict[str, float]:
    kr, kb = KR_KB[matrix]
    luma, chroma = (255 / 219, 255 / 224) if range == "limited" else (1.0, 1.0)
    kg = 1 - kr - kb
    return {
        "gain": luma,
        "kr": 2 * (1 - kr) * chroma,
        "kb": 2 * (1 - kb) * chroma,
        "kgr": -2 * (1 - kr) * kr / kg * chroma,
        "kgb": -2 * (1 - kb) * kb / kg * chroma,
    }


def integer_rgb(levels: list[np.ndarray], matrix: str, range: str) -> list[np.ndarray]:
    c = {name: int(np.floor(value * 8192 + 0.5)) for name, value in coefficients(matrix, range).items()}
    gain = int(np.floor(coefficients(matrix, range)["gain"] * 16384 + 0.5))
    luma = mulhrs(levels[0] - (2048 if range == "limited" else 0), gain) - 8160
    cb, cr = (levels[1] - 16384) * 2, (levels[2] - 16384) * 2
    rgb = [luma + mulhrs(cr, c["kr"]), luma + mulhrs(cb, c["kgb"]) + mulhrs(cr, c["kgr"]), luma + mulhrs(cb, c["kb"])]
    return [(np.clip(channel, -8160, 8160) + 8160) * 2 for channel in rgb]


def numpy_preprocess(case: Case) -> np.ndarray:
    """The documented integer arithmetic, in whole arrays."""
    options = case.options
    (sy, sx, sh, sw), (ny, nx, nh, nw) = fitted(case.source, case.network, case.fit)
    y, x = positions(sy, sh, ny, nh, half=False), positions(sx, sw, nx, nw, half=False)
    cy, cx = positions(sy, sh, ny, nh, half=True), positions(sx, sw, nx, nw, half=True)
    if case.format == "yuyv":
        cy = y
    parts = component_planes(case.format, case.planes())
    yuv = case.format in ("nv12", "i420", "yuyv")
    levels = [integer_levels(p, *((cy, cx) if yuv and i else (y, x))) for i, p in enumerate(parts)]
    rgb = integer_rgb(levels, case.matrix, case.range) if yuv else (levels * 3)[:3]
    pad = int(np.floor(options.get("pad", 0.0) * 128 + 0.5))
    image = np.full((3, *case.network), pad, np.int64)
    image[:, ny : ny + nh, nx : nx + nw] = rgb if options.get("order", "rgb") == "rgb" else rgb[::-1]
    return numpy_store(image, options)


def numpy_store(image: np.ndarray, options: dict) -> np.ndarray:
    mean = np.floor(np.array(options.get("mean", (0.0,) * 3)) * 128 + 0.5).astype(np.int64)[:, None, None]
    factor = (1.0 / (128.0 * np.array(options.get("std", (1.0,) * 3)))).astype(np.float32)[:, None, None]
    out = (image - mean).astype(np.float32) * factor
    if (type_ := options.get("type", "float32")) != "float32":
        info = np.iinfo(DTYPES[type_])
        steps = np.rint(out / np.float32(options["scale"])).astype(np.float64) + options["zero_point"]
        out = np.clip(steps, info.min, info.max).astype(DTYPES[type_])
    out = out[None]
    return np.ascontiguousarray(out.transpose(0, 2, 3, 1)) if options.get("layout") == "nhwc" else out


# --- strategies -------------------------------------------------------------------------------------------------------

sizes = st.one_of(st.integers(1, 6), st.integers(1, 200), st.sampled_from([63, 64, 65, 127, 128, 129, 1100]))


@st.composite
def cases(draw) -> Case:
    levels = st.floats(-300, 300, width=32)
    options = {
        "order": draw(st.sampled_from(["rgb", "bgr"])),
        "pad": draw(st.floats(0, 255, width=32)),
        "mean": draw(st.tuples(levels, levels, levels)),
        "std": draw(st.tuples(*[st.floats(2**-6, 1000, width=32)] * 3)),
        "layout": draw(st.sampled_from(["nchw", "nhwc"])),
        "type": draw(st.sampled_from(["float32", "float32", "uint8", "int8"])),
    }
    if options["type"] != "float32":
        info = np.iinfo(DTYPES[options["type"]])
        options["scale"] = draw(st.floats(2**-10, 4, width=32))
        options["zero_point"] = draw(st.integers(int(info.min), int(info.max)))
    height, width = draw(st.tuples(sizes, sizes).filter(lambda size: size[0] * size[1] <= 40000))
    return Case(
        format=draw(st.sampled_from(FORMATS)),
        source=(height, width),
        network=draw(st.tuples(sizes, sizes).filter(lambda size: size[0] * size[1] <= 40000)),
        fit=draw(st.sampled_from(FITS)),
        matrix=draw(st.sampled_from(list(KR_KB))),
        range=draw(st.sampled_from(["limited", "full"])),
        padding=draw(st.integers(0, 9)),
        seed=draw(st.integers(0, 2**32 - 1)),
        options=options,
    )


# --- pre-processing ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(cases())
def test_every_instruction_set_gives_the_bits_of_both_references(case):
    want = case.run(reference=True)
    np.testing.assert_array_equal(numpy_preprocess(case).view(np.uint8), want.view(np.uint8))
    for isa in ISAS:
        np.testing.assert_array_equal(case.run(isa).view(np.uint8), want.view(np.uint8), err_msg=isa)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("source", [(72, 128), (144, 240), (216, 480), (24, 40)])
def test_wide_rows_give_the_bits_of_the_reference(isa, format, source):
    case = Case(format=format, source=(source[0] // 8, source[1] * 8), network=(10, 1056), fit="letterbox")
    np.testing.assert_array_equal(case.run(isa), case.run(reference=True))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("format", ["rgb", "nv12"])
def test_large_tensors_give_the_bits_of_the_reference(isa, format):
    case = Case(format=format, source=(360, 641), network=(433, 811), fit="letterbox", options={"pad": 7.5})
    np.testing.assert_array_equal(case.run(isa, pool=pixels.ParallelFor(2)), case.run(reference=True))


@pytest.mark.parametrize("fit", FITS)
def test_threads_do_not_change_the_bits(fit):
    case = Case(format="nv12", source=(181, 333), network=(200, 311), fit=fit, options={"pad": 114.0})
    pool = pixels.ParallelFor(4)
    want = case.run()
    for _ in range(20):
        np.testing.assert_array_equal(case.run(pool=pool), want)


def float_image(case: Case, *, siting: bool = True) -> np.ndarray:
    """Levels in exact arithmetic: bilinear, colour matrix, clipped; (3, h, w) of the network rectangle."""
    (sy, sx, sh, sw), (ny, nx, nh, nw) = fitted(case.source, case.network, case.fit)
    yuv = case.format in ("nv12", "i420", "yuyv")
    levels = []
    for i, plane in enumerate(component_planes(case.format, case.planes())):
        half = yuv and i > 0
        y = positions(sy, sh, ny, nh, half=half and case.format != "yuyv")
        x = positions(sx, sw, nx, nw, half=half)
        y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
        y1, x1 = np.minimum(y0 + 1, plane.shape[0] - 1), np.minimum(x0 + 1, plane.shape[1] - 1)
        wy, wx = (y - y0)[:, None], x - x0
        plane = plane.astype(np.float64)
        upper, lower = (
            plane[y0][:, x0] * (1 - wx) + plane[y0][:, x1] * wx,
            plane[y1][:, x0] * (1 - wx) + plane[y1][:, x1] * wx,
        )
        levels.append(upper * (1 - wy) + lower * wy)
    if not yuv:
        return np.array((levels * 3)[:3])
    c = coefficients(case.matrix, case.range)
    luma = (levels[0] - (16 if case.range == "limited" else 0)) * c["gain"]
    cb, cr = levels[1] - 128, levels[2] - 128
    return np.clip([luma + c["kr"] * cr, luma + c["kgb"] * cb + c["kgr"] * cr, luma + c["kb"] * cb], 0, 255)


@pytest.mark.parametrize("range", ["limited", "full"])
@pytest.mark.parametrize("matrix", list(KR_KB))
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("format", FORMATS)
def test_levels_stay_within_a_tenth_of_exact_arithmetic(format, fit, matrix, range):
    case = Case(format=format, source=(91, 163), network=(128, 117), fit=fit, matrix=matrix, range=range)
    _, (y, x, h, w) = fitted(case.source, case.network, fit)
    got = case.run()[0, :, y : y + h, x : x + w]
    assert np.abs(got - float_image(case)).max() < 0.1


def test_normalisation_is_mean_then_std_in_levels():
    options = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
    case = Case(format="rgb", source=(40, 60), network=(32, 64), options=options)
    mean, std = (np.array(options[name])[:, None, None] for name in ("mean", "std"))
    assert np.abs(case.run()[0] - (float_image(case) - mean) / std).max() < 0.1 / 57


def test_an_image_of_the_networks_size_passes_through_exactly():
    case = Case(format="rgb", source=(33, 65), network=(33, 65))
    np.testing.assert_array_equal(case.run()[0], case.planes()[0].transpose(2, 0, 1))


def test_channel_order_swaps_the_outputs():
    case = {
        order: Case(format="bgr", source=(20, 30), network=(16, 16), options={"order": order})
        for order in ("rgb", "bgr")
    }
    np.testing.assert_array_equal(case["rgb"].run(), case["bgr"].run()[:, ::-1])


def test_letterbox_borders_hold_the_normalised_pad_value():
    case = Case(
        format="grey", source=(10, 40), network=(40, 40), fit="letterbox", options={"pad": 114.0, "mean": (14.0,) * 3}
    )
    out = case.run()[0]
    assert (out[:, :15] == 100).all() and (out[:, 25:] == 100).all()


def test_matches_opencv_on_a_smooth_image():
    cv2 = pytest.importorskip("cv2")
    case = Case(format="rgb", source=(90, 160), network=(64, 128), smooth=True)
    want = cv2.resize(np.ascontiguousarray(case.planes()[0]), (128, 64), interpolation=cv2.INTER_LINEAR_EXACT)
    assert np.abs(case.run()[0] - want.transpose(2, 0, 1)).max() <= 0.51


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "fill"}, "unknown fit 'fill'; known: stretch, letterbox, crop"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be > 0"),
        ({"pad": 300.0}, "pad must be in"),
        ({"type": "uint8", "zero_point": 256}, "zero point lies outside the type"),
        ({"isa": "mmx"}, "instruction set 'mmx' is not supported here"),
    ],
)
def test_wrong_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pixels.Preprocessor("rgb", (4, 4), (4, 4), **options)


def test_frames_of_another_size_are_refused():
    made = pixels.Preprocessor("rgb", (4, 6), (4, 4))
    with pytest.raises(ValueError, match="plane 0 needs 4 rows of 18 bytes"):
        made.run([np.zeros((4, 5, 3), np.uint8)], np.zeros((1, 3, 4, 4), np.float32))


# --- geometry ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.sampled_from(FITS))
def test_fit_geometry_follows_its_rule_and_inverts(source, network, fit):
    got = pixels.fit_geometry(source, network, fit)
    (sy, sx, sh, sw), (ny, nx, nh, nw) = fitted(source, network, fit)
    assert got.source_rect == (sx, sy, sw, sh)
    assert got.network_rect == (nx, ny, nw, nh)
    (scale, offset), (back_scale, back_offset) = got.network_to_source_x, got.source_to_network_x
    assert abs((7.0 * scale + offset) * back_scale + back_offset - 7.0) < 1e-6
    assert (nx - 0.5) * scale + offset == pytest.approx(sx - 0.5, abs=1e-6)
    assert (nx + nw - 0.5) * scale + offset == pytest.approx(sx + sw - 0.5, abs=1e-6)
