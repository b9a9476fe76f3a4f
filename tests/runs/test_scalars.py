from gan.runs.scalars import group_scalars, select_scalars

COLUMNS = ["iteration", "images", "seconds", "d_loss", "real_score", "fake_score", "grad_norm_d", "penalty", "g_loss"]
COLUMNS += ["grad_norm_g", "images_per_second"]


def test_select_scalars_excludes_progress_and_speed():
    assert select_scalars(COLUMNS) == COLUMNS[3:-1]


def test_scalars_of_one_quantity_share_a_group():
    assert group_scalars(COLUMNS) == {
        "loss": ["d_loss", "g_loss"],
        "score": ["real_score", "fake_score"],
        "grad norm": ["grad_norm_d", "grad_norm_g"],
        "penalty": ["penalty"],
    }


def test_groups_of_new_scalars():
    """Names that are not known get groups of their own or join a known one."""
    groups = group_scalars(["d_loss", "learning_rate", "aux_loss", "loss", "real"])
    assert groups == {
        "loss": ["d_loss", "loss"],
        "learning rate": ["learning_rate"],
        "aux loss": ["aux_loss"],
        "real": ["real"],
    }
