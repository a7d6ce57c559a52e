"""Report, regions, scale and areas. Flags of what is asked about photographs beyond their maps."""

from absl import flags

from spotrust_jax.errors import InputError

_REPORT = flags.DEFINE_bool("report", False, "Write report.html and tables of the corroded regions.")
_REPORT_IMAGES = flags.DEFINE_enum(
    "report_images",
    "auto",
    ["auto", "inline", "folder"],
    "Pictures within report.html, or beside it in report_files; auto: beside it above 60 photographs.",
)
_AREA_DRAWS = flags.DEFINE_integer(
    "area_draws",
    0,
    "With --report: as many draws for the area's interval, beyond the passes of the maps; each costs about a pass.",
    lower_bound=0,
)
_MILLIMETRES = flags.DEFINE_float("millimetres_per_pixel", None, "Scale of all photographs, for areas.", 0.0)
_ARUCO = flags.DEFINE_float("aruco_millimetres", None, "Side of the ArUco markers (4X4_50) that show the scale.", 0.0)
_MIN_PIXELS = flags.DEFINE_integer("min_region_pixels", 1, "Smaller regions are left out of the tables.", lower_bound=1)
_MIN_SQUARE = flags.DEFINE_float("min_region_square_millimetres", 0.0, "The same where the scale is known.", 0.0)

_INLINE = {"auto": None, "inline": True, "folder": False}


def writers() -> tuple:
    """Of regions and the report, or none without --report."""
    from spotrust_jax.outputs.region_writer import RegionWriter
    from spotrust_jax.outputs.scale_marker import require_marker_reader
    from spotrust_jax.outputs.workbook import WorkbookWriter
    from spotrust_jax.report.writer import ReportWriter

    for flag in (_MILLIMETRES, _ARUCO):
        if flag.value == 0:
            raise InputError(f"--{flag.name}=0 is no size: give millimetres above 0")
    wanted = [flag.name for flag in (_AREA_DRAWS, _MILLIMETRES, _ARUCO, _MIN_PIXELS, _MIN_SQUARE) if flag.present]
    if not _REPORT.value:
        if wanted:
            raise InputError(f"--{wanted[0]} is for the report: add --report")
        return ()
    if _MIN_SQUARE.value and _MILLIMETRES.value is None and _ARUCO.value is None:
        remedy = "add --millimetres_per_pixel or --aruco_millimetres, or use --min_region_pixels"
        raise InputError(f"--min_region_square_millimetres={_MIN_SQUARE.value:g} needs a scale: {remedy}")
    if _ARUCO.value is not None:
        require_marker_reader()
    regions = RegionWriter(_MILLIMETRES.value, _ARUCO.value, _MIN_PIXELS.value, _MIN_SQUARE.value)
    return regions, ReportWriter(_INLINE[_REPORT_IMAGES.value]), WorkbookWriter()


def area_draws() -> int | None:
    """Draws for the area's interval, or None without --report."""
    return _AREA_DRAWS.value if _REPORT.value else None
