"""What trainers need beside the selected rows: a data-set entry and a config that is ready."""

from ds2fast.trainers.copies import uneven_copies
from ds2fast.trainers.files import TrainerFiles
from ds2fast.trainers.trainer import TRAINERS, check_trainer, trainer_files

__all__ = ["TRAINERS", "TrainerFiles", "check_trainer", "trainer_files", "uneven_copies"]
